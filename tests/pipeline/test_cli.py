"""The command line in temporary folders: run, look, edit, run again, and every mistake a user makes first."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time

import click
import numpy as np
import pytest
from PIL import Image

from pipeline.cli import VERBS, cli

STAGES = ("data", "teacher", "position", "distill", "baseline", "export.onnx", "export.tensorrt", "bench")


def rows(done: subprocess.CompletedProcess[str]) -> dict[str, dict]:
    return {row["stage"]: row for row in json.loads(done.stdout)}


def files_of(home, kind):
    return {p.name: p for p in home.glob(f"store/{kind}/*/*/*")}


def best_of_three(command):
    """Seconds of the quickest of three calls, since the machine may be busy with others, and the last result."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        done = command()
        seconds.append(time.perf_counter() - began)
    return min(seconds), done


def assert_one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Exit code 2, the error in one line that holds `parts`, no traceback."""
    assert done.returncode == 2, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    assert all(part in errors[0] for part in parts), errors[0]


def test_run_makes_every_stage_and_skips_tensorrt_with_its_reason(finished) -> None:
    made = rows(finished[1])
    assert tuple(made) == STAGES
    assert {name for name, row in made.items() if row["action"] == "ran"} >= set(STAGES) - {"export.tensorrt"}
    if made["export.tensorrt"]["action"] == "skipped":
        assert made["export.tensorrt"]["reasons"][0]


def test_a_second_run_does_nothing_quickly_and_says_so(pipeline, finished) -> None:
    home, _ = finished
    seconds, done = best_of_three(lambda: pipeline("run", home))
    assert "nothing to do" in done.stdout and done.returncode == 0
    assert seconds < 2.0


def test_status_is_quick_complete_and_free_of_torch(pipeline, finished) -> None:
    code = (
        "import sys; from pipeline.cli import main\n"
        f"sys.argv = ['pipeline', *{pipeline.words('status', finished[0], '--json')!r}]\n"
        "code = main()\n"
        "assert not {'torch', 'onnx', 'onnxruntime', 'PIL'} & set(sys.modules), sorted(sys.modules)\n"
        "sys.exit(code)"
    )
    seconds, done = best_of_three(
        lambda: subprocess.run([sys.executable, "-c", code], cwd=pipeline.root, capture_output=True, text=True)
    )
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert [row["stage"] for row in status] == list(STAGES)
    assert all(set(row) == {"stage", "state", "key", "digest", "reasons"} for row in status)
    assert {row["state"] for row in status} <= {"current", "skipped"}
    assert seconds < 2.0


def test_a_changed_setting_names_itself_and_leaves_the_rest_current(pipeline, finished) -> None:
    home, _ = finished
    done = pipeline("status", home, "--json", distill__lr="0.02")
    status = {row["stage"]: row for row in json.loads(done.stdout)}
    assert status["distill"]["reasons"] == ["config.lr: 0.03 -> 0.02"]
    assert [status[name]["state"] for name in ("data", "teacher", "position")] == ["current"] * 3
    assert status["export.onnx"]["state"] == "stale"
    assert status["export.onnx"]["reasons"] == ["waits for distill"]


def test_neutral_settings_change_nothing(pipeline, finished) -> None:
    done = pipeline("status", finished[0], "--json", distill__workers="0", teacher__checkpoint_iterations="7")
    assert {row["state"] for row in json.loads(done.stdout)} <= {"current", "skipped"}


def test_method_none_needs_neither_teacher_nor_position(pipeline, tmp_path) -> None:
    done = pipeline("status", tmp_path, "--json", distill__method="none", bench__baseline="false")
    states = {row["stage"]: row["state"] for row in json.loads(done.stdout)}
    assert states["position"] == "not needed"
    done = pipeline("run", tmp_path, "--json", "--until", "distill", "--dry-run", distill__method="none")
    assert list(rows(done)) == ["data", "distill"]


def test_dry_run_runs_nothing(pipeline, tmp_path) -> None:
    done = pipeline("run", tmp_path / "home", "--dry-run")
    assert done.returncode == 0 and "would run" in done.stdout
    assert not (tmp_path / "home" / "store").exists()


def test_the_student_ships_alone(finished) -> None:
    from safetensors import safe_open

    files = files_of(finished[0], "distill")
    assert {"model.safetensors", "config.json", "labels.json", "preprocess.json", "metrics.json", "README.md"} <= set(
        files
    )
    for path in finished[0].glob("store/distill/*/*/model.safetensors"):
        with safe_open(path, "pt") as weights:
            names = set(weights.keys())
        assert not [n for n in names if n.startswith(("aux", "teacher", "terms", "position"))]


def test_no_artifact_holds_a_pickle(finished) -> None:
    assert not [p for p in finished[0].glob("store/**/*") if p.suffix in {".pt", ".pth", ".pkl", ".bin"}]
    assert not list(finished[0].glob("scratch/*/*/*")) and not list(finished[0].glob("work/*"))


def test_show_of_a_prefix_leaves_out_what_was_skipped(pipeline, finished) -> None:
    shown = json.loads(pipeline("show", finished[0], "export", "--json").stdout)
    stages = [shown["stage"]] if isinstance(shown, dict) else [each["stage"] for each in shown]
    assert stages[0] == "export.onnx"


def test_show_tells_figures_and_files(pipeline, finished) -> None:
    done = pipeline("show", finished[0], "position", "--json")
    shown = json.loads(done.stdout)
    assert shown["stage"] == "position" and "model.safetensors" in shown["files"]
    assert "Spearman" in pipeline("show", finished[0], "position").stdout


def test_graph_and_recipes_print_json(pipeline, tmp_path) -> None:
    assert json.loads(pipeline("graph", tmp_path, "--json").stdout)["position"] == ["data", "teacher"]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "recipes", "--json"], cwd=pipeline.root, capture_output=True, text=True
    )
    assert {"quickstart", "camvid-cpu", "cityscapes-pspnet-r18"} <= set(json.loads(done.stdout))


def test_only_and_from_ask_for_what_is_missing(pipeline, tmp_path) -> None:
    assert_one_line(pipeline("run", tmp_path, "--only", "distill"), "stage distill", "waits for data")


@pytest.mark.parametrize(
    ("arguments", "changes", "parts"),
    [
        (("--until", "exprt"), {}, ("'exprt'", "did you mean 'export'")),
        ((), {"teacher__itertions": "3"}, ("unknown key teacher.itertions", "'iterations'")),
        ((), {"teacher__net": "pspnet_resnet19"}, ("pspnet_resnet19", "pspnet_resnet18")),
        (("--dry-run",), {"distill__student__args__widht": "1"}, ("'widht'", "it takes width")),
        (("--dry-run",), {"data__source": "camvd"}, ("camvd", "camvid")),
        (("--dry-run", "--only", "teacher"), {}, ("stage teacher", "waits for data")),
        ((), {"teacher__crop_px": "[0, 8]"}, ("teacher.crop_px", "greater than 0")),
        ((), {"teacher__scale": "[2, 1]"}, ("teacher.scale", "0 < low <= high")),
        ((), {"export__onnx__batch": "0"}, ("export.onnx.batch = 0",)),
        ((), {"distill__method": "id"}, ("'id'", "'idd'")),
        ((), {"distill__terms__position__weight": "-1"}, ("distill.terms.position.weight = -1", "equal to 0")),
        ((), {"data__source": "folder", "data__root": "/nowhere"}, ("/nowhere", "--set data.root=PATH")),
        ((), {"teacher__weights": "missing.safetensors"}, ("missing.safetensors", "--set teacher.weights=PATH")),
    ],
)
def test_mistakes_in_names_and_paths(pipeline, tmp_path, arguments, changes, parts) -> None:
    assert_one_line(pipeline("run", tmp_path, *arguments, **changes), *parts)
    assert not list(tmp_path.glob("store/teacher/*"))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["run", "--untill", "export"], "'--until'"),
        (["runn"], "did you mean 'run'"),
        (["explain"], "STAGE"),
        (["report", "--budget"], "requires an argument"),
    ],
)
def test_mistakes_in_the_command_line_are_one_line(words, part) -> None:
    done = subprocess.run([sys.executable, "-m", "pipeline", *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and part in done.stderr


def test_weights_that_match_nothing(pipeline, finished, tmp_path) -> None:
    from safetensors.numpy import save_file

    save_file({"unrelated": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    home = tmp_path / "home"
    shutil.copytree(finished[0] / "store" / "data", home / "store" / "data")
    done = pipeline("run", home, "--until", "teacher", teacher__weights=str(tmp_path / "other.safetensors"))
    assert_one_line(done, "other.safetensors", "unrelated")
    assert not list(home.glob("store/teacher/*")) and not list(home.glob("work/*"))
    assert done.stderr.splitlines()[-1].startswith(f"next: python -m pipeline run --home {home} --set ")
    done = pipeline("status", home, "--json", teacher__weights=str(tmp_path / "other.safetensors"))
    teacher = json.loads(done.stdout)[1]
    assert teacher["state"] == "failed" and "WeightsError" in teacher["reasons"][0], teacher


def check_folder(pipeline, tmp_path):
    """Run the data stage on `tmp_path / "set"`."""
    changes = {"data__source": "folder", "data__root": str(tmp_path / "set")}
    return pipeline("run", tmp_path / "home", "--until", "data", **changes)


def make_folder(root, label: np.ndarray) -> None:
    """Six pairs in the `folder` layout, the last label being `label`."""
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for i in range(6):
        Image.fromarray(np.full((32, 48, 3), 40 * i, np.uint8)).save(root / "images" / f"{i}.png")
        values = label if i == 5 else np.zeros((32, 48), np.uint8)
        Image.fromarray(values).save(root / "labels" / f"{i}.png")
    (root / "classes.csv").write_text("id,name,r,g,b,ignore\n0,road,1,2,3,0\n1,sky,4,5,6,0\n")
    for split, ids in {"train": "0123", "val": "4", "test": "5"}.items():
        (root / f"{split}.txt").write_text("".join(f"images/{i}.png labels/{i}.png\n" for i in ids))


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        (np.full((32, 48), 7, np.uint8), ("labels/5.png", "7")),
        (np.zeros((30, 48), np.uint8), ("5.png", "30x48", "32x48")),
    ],
)
def test_faulty_labels_are_named(pipeline, tmp_path, label, parts) -> None:
    make_folder(tmp_path / "set", label)
    done = pipeline(
        "run", tmp_path / "home", "--until", "data", data__source="folder", data__root=str(tmp_path / "set")
    )
    assert_one_line(done, *parts)


def test_an_image_without_label_is_named(pipeline, tmp_path) -> None:
    make_folder(tmp_path / "set", np.zeros((32, 48), np.uint8))
    (tmp_path / "set" / "labels" / "5.png").unlink()
    done = pipeline(
        "run", tmp_path / "home", "--until", "data", data__source="folder", data__root=str(tmp_path / "set")
    )
    assert_one_line(done, "5.png")


def test_an_input_size_that_the_network_cannot_take(pipeline, tmp_path) -> None:
    done = pipeline("run", tmp_path, "--until", "position", data__size_px="[16, 16]", teacher__crop_px="[16, 16]")
    assert_one_line(done, "use larger images")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_publishes_nothing_half_and_the_next_run_goes_on(pipeline, finished, tmp_path, number, code) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished[0] / "store" / "data", home / "store" / "data")
    changes = {"teacher__iterations": "400", "teacher__checkpoint_iterations": "2"}
    words = pipeline.words("run", home, "--until", "teacher", **changes)
    # A shell's background job ignores SIGINT, and its children would inherit that: the handler is set anew.
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.argv = ['pipeline', *{words!r}]\n"
        "from pipeline.cli import main\n"
        "sys.exit(main())"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=pipeline.root, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(home.glob("scratch/teacher/*/*.pt")) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in errors, errors
    assert errors.splitlines()[-2:] == [
        "interrupted: nothing half made was published",
        f"next: {shlex.join(['python', '-m', 'pipeline', *words])}",
    ]
    assert not list(home.glob("store/teacher/*")) and not list(home.glob("work/*"))
    status = pipeline("status", home, "--json", teacher__iterations="400")
    assert {r["stage"]: r["state"] for r in json.loads(status.stdout)}["teacher"] == "interrupted"


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_the_list_of_commands_cuts_no_sentence(verb: str | None) -> None:
    context = click.Context(cli, info_name="pipeline", terminal_width=80, max_content_width=80)
    command = cli if verb is None else cli.get_command(context, verb)
    assert command is not None
    with click.Context(command, parent=context, info_name=verb, terminal_width=80) as inner:
        listed = command.get_help(inner).partition("Commands:")[2]
    assert "..." not in listed
    assert all(line.startswith("  ") and line[2] != " " for line in listed.splitlines()[1:]), listed

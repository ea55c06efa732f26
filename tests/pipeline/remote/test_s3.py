"""push and pull with an S3 bucket, against moto's server on loopback."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.plan import State

STAGES = ("data", "teacher", "position", "distill")


def rows(stdout: str) -> list[tuple[str, str]]:
    return [(row["reference"].partition("@")[0], row["action"]) for row in json.loads(stdout)]


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def keys(s3, prefix: str) -> set[str]:
    """Names of the objects below a prefix of the bucket."""
    listed = s3.request("GET", f"models?list-type=2&prefix={prefix}/").decode()
    return {key.removeprefix(f"{prefix}/") for key in re.findall(r"<Key>(.*?)</Key>", listed)}


def refused(result: tuple[int, str, str], *parts: str) -> None:
    """Exit code 2 and one line that holds `parts`."""
    code, _, stderr = result
    assert code == 2, stderr
    (line,) = stderr.splitlines()
    assert line.startswith("error: ") and all(part in line for part in parts), line


def test_a_round_trip(s3, done, fabric, stocked, tmp_path) -> None:
    url = "s3://models/round/trip"
    code, stdout, stderr = done(s3.environment, "push", stocked, "--json", "--store", url)
    assert code == 0, stderr
    assert rows(stdout) == [(name, "pushed") for name in STAGES]
    assert keys(s3, "round/trip") == set(contents(stocked / "store"))
    code, stdout, stderr = done(s3.environment, "pull", tmp_path / "home", "--json", "--store", url)
    assert code == 0, stderr
    assert rows(stdout) == [(name, "pulled") for name in STAGES]
    assert contents(tmp_path / "home" / "store") == contents(stocked / "store")
    assert [fabric.states(tmp_path / "home")[name] for name in STAGES] == [State.CURRENT] * 4
    code, stdout, _ = done(s3.environment, "push", stocked, "--json", "--store", url)
    assert rows(stdout) == [(name, "already there") for name in STAGES]
    code, stdout, _ = done(s3.environment, "pull", tmp_path / "other", "teacher@", "--json", "--store", url)
    assert rows(stdout) == [("teacher", "pulled")]


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_a_lost_connection_is_taken_up_again(s3, done, wire, stocked, tmp_path, verb) -> None:
    home, url = stocked, f"s3://models/lost-{verb}"
    if verb == "pull":
        home = tmp_path / "home"
        assert done(s3.environment, "push", stocked, "--store", url)[0] == 0
    cut = wire(s3.port, limit=1_500_000, upwards=verb == "push", cut=True)
    environment = s3.environment | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{cut.port}"}
    code, _, stderr = done(environment, verb, home, "--store", url)
    assert code == 2 and cut.full.is_set() and "Traceback" not in stderr, stderr
    assert stderr.splitlines()[-1].startswith(f"error: {url}: "), stderr
    if verb == "push":
        assert not [key for key in keys(s3, f"lost-{verb}") if re.fullmatch(r"teacher/.*/manifest.json", key)]
    assert not list((tmp_path / "home").glob("store/teacher/*/*"))
    code, _, stderr = done(s3.environment, verb, home, "--store", url)
    assert code == 0, stderr
    assert keys(s3, f"lost-{verb}") == set(contents(stocked / "store"))
    assert verb == "push" or contents(home / "store") == contents(stocked / "store")


def test_a_killed_upload_is_finished_by_the_next_one(s3, command, done, wire, stocked, tmp_path) -> None:
    held = wire(s3.port, limit=1_500_000, upwards=True, cut=False)
    environment = s3.environment | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{held.port}"}
    process = command(environment, "push", stocked, "--store", "s3://models/killed")
    assert held.full.wait(60)
    process.kill()
    process.communicate()
    held.close()
    # An artifact without a manifest is none.
    code, stdout, _ = done(s3.environment, "pull", tmp_path, "--json", "--store", "s3://models/killed")
    assert code == 0 and rows(stdout) == [("data", "pulled")]
    code, _, stderr = done(s3.environment, "push", stocked, "--store", "s3://models/killed")
    assert code == 0, stderr
    assert keys(s3, "killed") == set(contents(stocked / "store"))


def test_what_arrives_is_checked(s3, done, stocked, tmp_path) -> None:
    assert done(s3.environment, "push", stocked, "data", "--store", "s3://models/damaged")[0] == 0
    (key,) = (key for key in keys(s3, "damaged") if key.endswith("model.safetensors"))
    code = f"import s3fs; s3fs.S3FileSystem().pipe_file('models/damaged/{key}', bytes(1000))"
    subprocess.run([sys.executable, "-c", code], env=s3.environment, check=True)
    result = done(s3.environment, "pull", tmp_path, "data", "--store", "s3://models/damaged")
    refused(result, "model.safetensors arrived with another sha256")
    assert not list(tmp_path.glob("store/data/*/*"))


def test_an_empty_bucket_has_nothing_to_pull(s3, done, tmp_path) -> None:
    code, stdout, stderr = done(s3.environment, "pull", tmp_path, "--store", "s3://models/empty")
    assert code == 0 and stdout == "nothing to move\n" and "data: not in s3://models/empty" in stderr


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_a_bucket_that_is_not_there(s3, done, stocked, verb) -> None:
    refused(done(s3.environment, verb, stocked, "--store", "s3://nothing"), "s3://nothing: ", "bucket does not exist")


def test_a_server_that_does_not_answer(s3, done, stocked) -> None:
    environment = s3.environment | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    refused(done(environment, "push", stocked, "--store", "s3://models"), "s3://models: ", "http://127.0.0.1:1")


def test_no_credentials(s3, done, stocked) -> None:
    environment = {name: value for name, value in s3.environment.items() if "KEY" not in name}
    refused(done(environment, "push", stocked, "--store", "s3://models"), "credentials", "AWS_PROFILE")

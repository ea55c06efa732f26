"""A manifest from elsewhere is believed only where it is whole, harmless and of the artifact that it lies with."""

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.errors import RemoteError
from pipeline.remote.transfer import How, pull
from pipeline.remote.untrusted import checked_manifest, file_name
from pipeline.remote.url import Absent, opened
from pipeline.store.manifest import digest_of, sealed

KEY = "a" * 64
CONTENT = b"weights"
FILE = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "bytes": len(CONTENT), "volatile": False}


def manifest(files=None, **fields) -> dict:
    """The manifest of an artifact whose digest is right."""
    files = {"model.safetensors": FILE} if files is None else files
    fields = {
        "stage": "teacher",
        "kind": "teacher",
        "key": KEY,
        "recipe": "quickstart",
        "components": {"config": {"lr": 0.1, "names": ["Fahrbahn", "道路"]}},
        "inputs": {"data": {"key": "b" * 64, "digest": "c" * 64}},
        "summary": {"test mIoU": 0.5, "files": 1, "note": "-"},
        "created": "2030-01-01T00:00:00+00:00",
        "seconds": 1.5,
        "digest": digest_of(files),
        "files": files,
        **fields,
    }
    return sealed(fields)


def checked(value, digest: str | None = None) -> dict:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    digest = digest or (value["digest"] if isinstance(value, dict) and "digest" in value else "d" * 64)
    return checked_manifest(content, "teacher", KEY, digest, "manifest.json")


def test_an_honest_manifest_is_returned_as_it_is() -> None:
    honest = manifest(process_peak_mib=3, accepted={"reason": "two\nlines"})
    assert checked(honest) == honest


def test_a_changed_byte_in_a_manifest_shows() -> None:
    changed = manifest()
    changed["components"] = {"config": {"lr": 0.2, "names": ["Fahrbahn", "道路"]}}
    with pytest.raises(RemoteError, match="is refused: was changed after it was written"):
        checked(changed)
    del changed["manifest_sha256"]
    with pytest.raises(RemoteError, match="is refused: was changed after it was written"):
        checked(changed)


GOOD = ("model.safetensors", "images/test/größe 1.png", "a..b", ".hidden", "…", "x" * 200)
BAD = (
    "",
    ".",
    "..",
    "../escape",
    "a/../../escape",
    "/etc/passwd",
    "a//b",
    "a/",
    "./a",
    "a\\b",
    "..\\escape",
    "C:evil",
    "nul\0byte",
    "line\nfeed",
    "bell\a",
    "\x1b[31mred",
    "rtl\u202eoverride",
    "surrogate\ud800",
    "dot.",
    "space ",
    "x" * 201,
    "manifest.json",
    "MANIFEST.json",
)


@pytest.mark.parametrize("name", GOOD)
def test_names_that_stay_in_the_folder(name) -> None:
    assert file_name(name) == name


@pytest.mark.parametrize("name", BAD)
def test_names_that_could_leave_it_or_deceive(name) -> None:
    with pytest.raises(RemoteError, match=r"^manifest.json is refused: files\.") as caught:
        checked(manifest({"model.safetensors": FILE, name: FILE}))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"kind": "../distill"}, "says kind ../distill and lies under teacher"),
        ({"kind": "distill"}, "says kind distill and lies under teacher"),
        ({"key": "e" * 64}, "says key eee"),
        ({"key": "../../../../tmp"}, "key = ../../../../tmp"),
        ({"key": KEY.upper()}, "key = AAAA"),
        ({"key": KEY + "\n"}, "key = "),
        ({"digest": "../" * 20}, "digest = "),
        ({"digest": "d" * 64}, "its digest does not follow from the files that it lists"),
        ({"files": []}, "files = "),
        ({"files": {"m": {**FILE, "bytes": -1}}}, r"files.m.bytes = -1"),
        ({"files": {"m": {**FILE, "bytes": True}}}, r"files.m.bytes = True"),
        ({"files": {"m": {**FILE, "bytes": 1.5}}}, r"files.m.bytes = 1.5"),
        ({"files": {"m": {**FILE, "sha256": "0"}}}, r"files.m.sha256 = 0"),
        ({"files": {"m": {"sha256": "0" * 64, "bytes": 1}}}, r"files.m.volatile = "),
        ({"inputs": {"data": {"key": "../..", "digest": "c" * 64}}}, r"inputs.data.key = ../.."),
        ({"summary": {"figure": {"nested": 1}}}, "summary.figure"),
        ({"summary": {"\x1b]0;owned\a": 1}}, r"control characters in '\x1b]0;owned\x07'"),
        ({"created": "now\r"}, "control characters"),
        ({"recipe": None}, "recipe = None"),
        ({"seconds": "long"}, "seconds = long"),
    ],
)
def test_fields_that_are_not_what_they_should_be(fields, part) -> None:
    digest = fields.get("digest") if fields.get("digest") == "d" * 64 else manifest()["digest"]
    with pytest.raises(RemoteError, match="is refused") as caught:
        checked(sealed(manifest() | fields), digest)
    assert part in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (("Model.txt", "model.txt"), "Model.txt and model.txt differ only in how they are written"),
        (("gro\u00dfe", "GROSSE"), "differ only"),
        (("caf\u00e9", "cafe\u0301"), "differ only"),
        (("images", "images/a.png"), "images is a file and a folder"),
        (("images/a.png/b", "Images/A.png"), "Images/A.png is a file and a folder"),
    ],
)
def test_names_that_collide_on_some_file_system(names, part) -> None:
    with pytest.raises(RemoteError) as caught:
        checked(manifest(dict.fromkeys(names, FILE)))
    assert part in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 200_000, b'{"seconds": ' + b"9" * 5000 + b"}"]
)
def test_what_is_no_manifest_at_all(content) -> None:
    with pytest.raises(RemoteError, match="is refused") as caught:
        checked(content)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def plant(root: Path, value: dict | bytes, digest: str) -> Path:
    """A remote store that offers this manifest as the current teacher."""
    folder = root / "teacher" / KEY / digest
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    (folder / "model.safetensors").write_bytes(CONTENT)
    (folder.parent / "current").write_text(digest)
    return folder


def tree(root: Path) -> set[str]:
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "files",
    [
        {"../../../../escaped": FILE},
        {"/tmp/escaped": FILE},
        {"model.safetensors": {**FILE, "bytes": 10**15}},
        {"model.safetensors": {**FILE, "bytes": 3}},
        {"model.safetensors": {**FILE, "sha256": "0" * 64}},
        {"absent.safetensors": FILE},
    ],
)
def test_a_hostile_store_writes_nothing(fabric, tmp_path, files) -> None:
    plant(tmp_path / "remote", manifest(files), manifest(files)["digest"])
    before = tree(tmp_path)
    with opened(str(tmp_path / "remote"), Absent.REFUSE) as remote, pytest.raises(RemoteError) as caught:
        list(pull(fabric.planner(tmp_path / "home"), remote, ["teacher@"], How(), print))
    assert "\n" not in str(caught.value)
    written = {name for name in tree(tmp_path) - before if not name.startswith(("home/locks/", "home/cache/"))}
    # What arrived in part is kept for the next attempt, where nothing reads it.
    assert all(name.startswith("home/work/pull-teacher-") for name in written)
    assert not (tmp_path / "home" / "store").exists()


def test_an_honest_artifact_of_the_same_making_is_taken(fabric, tmp_path) -> None:
    plant(tmp_path / "remote", manifest(), manifest()["digest"])
    with opened(str(tmp_path / "remote"), Absent.REFUSE) as remote:
        (row,) = pull(fabric.planner(tmp_path / "home"), remote, ["teacher@"], How(), print)
    assert row.action == "pulled" and row.bytes == len(CONTENT)


def test_a_manifest_or_a_pointer_without_end(fabric, tmp_path, monkeypatch) -> None:
    folder = plant(tmp_path / "remote", manifest(), manifest()["digest"])
    monkeypatch.setattr("pipeline.remote.store.LIMIT_BYTES", 100)
    with opened(str(tmp_path / "remote"), Absent.REFUSE) as remote:
        with pytest.raises(RemoteError, match=r"refused: .* is larger than 100 bytes"):
            remote.offer("teacher", KEY, folder.name)
        (folder.parent / "current").write_text("0" * 2000)
        with pytest.raises(RemoteError, match=r"refused: .* is larger than 1,024 bytes"):
            remote.current("teacher", KEY)
        (folder.parent / "current").write_text("../../../elsewhere")
        with pytest.raises(RemoteError, match="holds no digest"):
            remote.current("teacher", KEY)

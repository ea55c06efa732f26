"""Only an edit that can change a result changes a fingerprint."""

import pytest

from pipeline.identity import fingerprint
from pipeline.identity.fingerprint import describe, fingerprints
from pipeline.identity.statcache import StatCache

SOURCE = b'''"""Doc."""
import numpy
from stages.nets import pspnet


def double(x: int) -> int:
    """Twice x."""
    return 2 * x
'''


def mark(source: bytes) -> str:
    return describe(source, "stages.sample")[0]


@pytest.mark.parametrize(
    "edited",
    [
        SOURCE.replace(b'"""Twice x."""', b'"""Two times x."""'),
        SOURCE.replace(b"return 2 * x", b"return (2 *\n        x)  # why"),
        SOURCE.replace(b'"""Doc."""\n', b""),
    ],
)
def test_docstrings_comments_and_layout_do_not_count(edited: bytes) -> None:
    assert mark(edited) == mark(SOURCE)


def test_code_counts() -> None:
    assert mark(SOURCE.replace(b"2 * x", b"3 * x")) != mark(SOURCE)
    assert mark(SOURCE.replace(b"x: int", b"x: float")) != mark(SOURCE)


def test_every_import_is_seen() -> None:
    assert describe(SOURCE, "stages.sample")[1] == ["numpy", "stages.nets", "stages.nets.pspnet"]


def test_relative_imports_resolve() -> None:
    assert describe(b"from .nets import espnet", "stages.sample")[1] == ["stages.nets", "stages.nets.espnet"]


def test_closure_reaches_helpers_and_follows_edits(tmp_path, monkeypatch) -> None:
    package = tmp_path / "stages"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "top.py").write_text("def run():\n    from stages import middle\n")
    (package / "middle.py").write_text("import stages.bottom\n")
    (package / "bottom.py").write_text("x = 1\n")
    (package / "other.py").write_text("x = 1\n")
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    cache = StatCache(tmp_path / "cache.json")
    before = fingerprints(["stages.top"], cache)
    assert set(before) == {"stages", "stages.top", "stages.middle", "stages.bottom"}
    (package / "bottom.py").write_text("x = 22\n")
    after = fingerprints(["stages.top"], cache)
    assert {name for name in before if before[name] != after[name]} == {"stages.bottom"}


def test_cache_answers_from_disk_until_the_file_changes(tmp_path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one")
    cache = StatCache(tmp_path / "cache.json")
    assert cache.get(file, len) == 3
    cache.save()
    again = StatCache(tmp_path / "cache.json")
    assert again.get(file, lambda content: pytest.fail("read although unchanged")) == 3
    file.write_text("three")
    assert again.get(file, len) == 5

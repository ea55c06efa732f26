"""Naming artifacts."""

import json

import pytest


def tags(call, home):
    return json.loads(call("tag", "--home", home, "--json")[1])


def test_set_show_move_delete(call, shelf) -> None:
    first, second = shelf.add("teacher"), shelf.add("teacher")
    assert tags(call, shelf.home) == {}
    assert call("tag", "best", f"teacher@{first.digest[:8]}", "--home", shelf.home)[0] == 0
    assert tags(call, shelf.home)["best"]["digest"] == first.digest
    code, out, _ = call("tag", "best", f"teacher@{second.key[:8]}", "--home", shelf.home)
    assert code == 0 and f"moved from teacher {first.digest[:12]}" in out
    assert second.digest[:12] in call("tag", "best", "--home", shelf.home)[1]
    assert call("tag", "--delete", "best", "--home", shelf.home)[0] == 0
    assert tags(call, shelf.home) == {} and second.folder.is_dir()


def test_a_tag_is_a_reference(call, shelf) -> None:
    made = shelf.add("teacher")
    call("tag", "v1.0", f"teacher@{made.digest}", "--home", shelf.home)
    code, out, _ = call("tag", "copy", "tag:v1.0", "--home", shelf.home, "--json")
    assert code == 0 and json.loads(out)["copy"]["key"] == made.key
    assert list(tags(call, shelf.home)) == ["copy", "v1.0"]


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", ".", ".hidden", "a b", "a\nb", "a\\b", "", "x" * 101, "a:b"])
def test_names_that_are_none(call, shelf, name) -> None:
    made = shelf.add("teacher")
    code, _, err = call("tag", name, f"teacher@{made.digest}", "--home", shelf.home)
    assert code == 2 and "no name for a tag" in err
    assert not list(shelf.home.rglob("*evil*")) and not (shelf.home / "tags").exists()


def test_mistakes(call, shelf) -> None:
    made = shelf.add("teacher")
    call("tag", "shipped", f"teacher@{made.digest}", "--home", shelf.home)
    code, _, err = call("tag", "--delete", "shiped", "--home", shelf.home)
    assert code == 2 and "did you mean 'shipped'" in err
    assert call("tag", "--delete", "--home", shelf.home)[0] == 2
    code, _, err = call("tag", "none", "--home", shelf.home)
    assert code == 2 and "no tag 'none'" in err


def test_a_tag_whose_artifact_is_gone(call, shelf) -> None:
    made = shelf.add("teacher")
    call("tag", "shipped", f"teacher@{made.digest}", "--home", shelf.home)
    (made.folder / "manifest.json").unlink()
    assert tags(call, shelf.home) == {"shipped": None}
    assert "gone" in call("tag", "--home", shelf.home)[1]

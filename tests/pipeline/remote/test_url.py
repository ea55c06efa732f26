"""Mistakes in a store's URL, and packages that are not installed."""

import sys

import pytest

from pipeline.errors import RemoteError
from pipeline.remote.url import Absent, opened, parse


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("sftp://user:secret@host/store", "leave the password out"),
        ("sftp://host", "write sftp://user@host:port/folder"),
        ("sftp:///store", "write sftp://user@host:port/folder"),
        ("sftp://host:high/store", "Port could not be cast"),
        ("sftps://host/store", "did you mean 'sftp'"),
        ("http://host/store", "no scheme 'http'"),
        ("s3:///prefix", "write s3://bucket/prefix"),
        ("file://relative/store", "three slashes"),
        ("user@box:/data/store", "write sftp://user@box/data/store"),
        ("box:data", "write sftp://box/data"),
    ],
)
def test_a_url_that_is_none_says_how_to_write_it(url, part) -> None:
    with pytest.raises(RemoteError, match=part) as caught, opened(url, Absent.MAKE):
        pass
    assert "secret" not in str(caught.value)


def test_a_folder_is_the_same_by_path_and_by_url(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my store").mkdir()
    for url in ("my store", str(tmp_path / "my store"), (tmp_path / "my store").as_uri()):
        with opened(url, Absent.REFUSE) as remote:
            assert remote.root == str(tmp_path / "my store")
    assert parse("host:but-a-folder") if (tmp_path / "host:but-a-folder").mkdir() is None else None


def test_a_store_is_made_by_push_alone(tmp_path) -> None:
    with pytest.raises(RemoteError, match="there is no such folder; push to it first"):
        opened(str(tmp_path / "a" / "b"), Absent.REFUSE).__enter__()
    with opened(str(tmp_path / "a" / "b"), Absent.MAKE):
        assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(("url", "module", "extra"), [("sftp://h/s", "paramiko", "sftp"), ("s3://b", "s3fs", "s3")])
def test_a_missing_package_names_its_extra(url, module, extra, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "pipeline.remote.sftp", raising=False)
    with pytest.raises(RemoteError, match=rf"{module}.*pip install -e '\.\[{extra}\]'"), opened(url, True):
        pass


def test_a_mistake_in_this_program_is_not_taken_for_the_remote_stores(tmp_path) -> None:
    with pytest.raises(KeyError), opened(str(tmp_path), Absent.REFUSE):
        raise KeyError("oops")

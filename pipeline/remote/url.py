"""From a URL to a remote store: `folder`, `file:///folder`, `sftp://user@host:port/folder`, `s3://bucket/prefix`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from pipeline.errors import PipelineError, RemoteError
from pipeline.nearest import nearest
from pipeline.remote.store import Remote

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

HOME = "/~/"
LIBRARIES = ("paramiko", "botocore", "aiobotocore", "aiohttp", "s3fs")
"""Packages whose exceptions speak of the remote store."""
SCP_STYLE = re.compile(r"([\w.@-]+):(.*)")


class Absent(Enum):
    """What to do where a URL's folder is not there yet; a bucket is never made."""

    MAKE = "make it"
    REFUSE = "say that there is nothing to read"
    LEAVE = "treat it as empty and make nothing"


@contextmanager
def opened(url: str, absent: Absent) -> Iterator[Remote]:
    """The remote store at a URL; what goes wrong with it inside the block becomes one RemoteError."""
    parts = parse(url)
    with remote_errors(url), OPENERS[parts.scheme](url, parts, absent) as remote:
        yield remote


def parse(url: str) -> SplitResult:
    """The parts of a URL, whose scheme is then `file`, `sftp` or `s3`."""
    if "://" not in url:
        host = SCP_STYLE.fullmatch(url)
        if host and not Path(url).exists():
            raise RemoteError(f"--store {url}: for a folder on a host write sftp://{host[1]}/{host[2].lstrip('/')}")
        return SplitResult("file", "", os.path.abspath(url), "", "")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise RemoteError(f"--store {url}: {error}") from None
    if parts.scheme not in OPENERS:
        raise RemoteError(f"--store: no scheme {parts.scheme!r}: {nearest(parts.scheme, OPENERS)}")
    if parts.password is not None:
        raise RemoteError("--store: leave the password out of the URL, logs would show it; use a key or an agent")
    return parts


@contextmanager
def open_folder(url: str, parts: SplitResult, absent: Absent) -> Iterator[Remote]:
    """A folder of this machine: a disk, a network share."""
    from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

    if parts.netloc:
        raise RemoteError(f"--store {url}: a file URL has three slashes: file:///folder")
    root = os.path.abspath(unquote(parts.path))
    fs = LocalFileSystem(skip_instance_cache=True)
    there = provide_folder(url, fs, root, absent)
    yield Remote(url, fs, root, os.rename, prefetch=False, to_be_made=not there)


@contextmanager
def open_sftp(url: str, parts: SplitResult, absent: Absent) -> Iterator[Remote]:
    """A folder of another host; `/~/` at its beginning is the user's home there."""
    with missing_package(url, "sftp"):
        from pipeline.remote.sftp import KnownHostSFTP
    if not parts.hostname or not parts.path.strip("/"):
        raise RemoteError(f"--store {url}: write sftp://user@host:port/folder")
    fs = KnownHostSFTP(parts.hostname, port=parts.port, username=parts.username, skip_instance_cache=True)
    try:
        path = unquote(parts.path)
        root = f"{fs.home()}/{path.removeprefix(HOME)}" if path.startswith(HOME) else path
        root = root.rstrip("/")
        there = provide_folder(url, fs, root, absent)
        yield Remote(url, fs, root, fs.mv, prefetch=True, to_be_made=not there)
    except Exception as error:
        # Its library reports a broken connection in many ways, some of them before it knows of it.
        if of_the_remote(error) and (fs.lost or isinstance(error.__context__, EOFError)):
            raise ConnectionError(str(error)) from error
        raise
    finally:
        fs.close()


@contextmanager
def open_s3(url: str, parts: SplitResult, absent: Absent) -> Iterator[Remote]:
    """A bucket, or what lies below a prefix of it. Region, endpoint and credentials come from the AWS variables."""
    with missing_package(url, "s3"):
        from s3fs import S3FileSystem  # type: ignore[import-untyped]
    if not parts.hostname:
        raise RemoteError(f"--store {url}: write s3://bucket/prefix")
    fs = S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    # Asked at once: s3fs takes a missing bucket for an empty one.
    fs.call_s3("list_objects_v2", Bucket=parts.netloc, MaxKeys=1)
    root = f"{parts.netloc}/{unquote(parts.path).strip('/')}".rstrip("/")
    yield Remote(url, fs, root, rename=None, prefetch=False)


Opener = Callable[[str, SplitResult, Absent], AbstractContextManager[Remote]]
OPENERS: dict[str, Opener] = {"file": open_folder, "sftp": open_sftp, "s3": open_s3}


def provide_folder(url: str, fs: AbstractFileSystem, root: str, absent: Absent) -> bool:
    """Whether the folder is there in the end; RemoteError where there is none to read."""
    if fs.isdir(root):
        return True
    if absent is Absent.REFUSE:
        raise RemoteError(f"{url}: there is no such folder; push to it first, or check the path")
    if absent is Absent.MAKE:
        fs.makedirs(root, exist_ok=True)
    return absent is Absent.MAKE


@contextmanager
def missing_package(url: str, extra: str) -> Iterator[None]:
    """RemoteError that names the extra to install, where an import fails."""
    try:
        yield
    except ImportError as error:
        raise RemoteError(f"{url}: {error}; pip install -e '.[{extra}]'") from error


@contextmanager
def remote_errors(url: str) -> Iterator[None]:
    """One line for whatever a file system, a network or a library says of the remote store."""
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        if not of_the_remote(error):
            raise
        raise RemoteError(f"{url}: {reason(error)}") from error


def of_the_remote(error: Exception) -> bool:
    """Whether an exception speaks of the remote store, and not of a mistake in this program."""
    return isinstance(error, OSError | EOFError) or type(error).__module__.partition(".")[0] in LIBRARIES


def reason(error: Exception) -> str:
    """What an exception says, in one line, and what to do where its kind tells."""
    text = " ".join(str(error).split()) or type(error).__name__
    if type(error).__name__ == "NoCredentialsError":
        return f"{text}; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(error, PermissionError):
        return f"{text}; check the credentials and their rights"
    if isinstance(error, EOFError | ConnectionError | TimeoutError):
        return f"the connection was lost ({text}); the same command goes on from here"
    return text

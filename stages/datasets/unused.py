"""Files that lie where images and labels belong and that nothing reads: a user should hear of each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from stages.datasets.findings import Finding, Kind, Level
from stages.datasets.layout import IMAGE_SUFFIXES, LABEL_SUFFIX, Pair


def suffix(file: str) -> str:
    """The suffix in lower case, with its dot."""
    return PurePosixPath(file).suffix.lower()


def unlisted(files: Iterable[str], splits: Mapping[str, Sequence[Pair]]) -> tuple[Finding, ...]:
    """The files below images/ and labels/ that no split list names; a label beside its unlisted image is not repeated.

    `files` are names relative to the root, as in the lists.
    """
    listed = {name for pairs in splits.values() for pair in pairs for name in (pair.image, pair.label)}
    left = sorted(file for file in below(files, "images", "labels") if file not in listed)
    images = {stem(file) for file in left if file.startswith("images/")}
    told = [file for file in left if file.startswith("images/") or stem(file) not in images]
    return tuple(unused(file, "stands in no split list: it is used for nothing") for file in told)


def unread(files: Iterable[str]) -> tuple[Finding, ...]:
    """The files below images/ and labels/ whose suffix says that they are no picture, or no label."""
    kinds = (("images", IMAGE_SUFFIXES), ("labels", (LABEL_SUFFIX,)))
    return tuple(
        unused(file, f"is left out: {', '.join(suffixes)} are read below {top}/")
        for top, suffixes in kinds
        for file in sorted(below(files, top))
        if suffix(file) not in suffixes
    )


def unused(file: str, text: str) -> Finding:
    """A warning: nothing goes wrong with such a file, and nothing comes of it."""
    return Finding(Kind.UNUSED, file, text, Level.WARNING)


def below(files: Iterable[str], *tops: str) -> Iterator[str]:
    """The files below these folders, but for hidden ones, which systems leave behind."""
    for file in files:
        path = PurePosixPath(file)
        if path.parts[0] in tops and not path.name.startswith("."):
            yield file


def stem(file: str) -> str:
    """The path below images/ or labels/ without the suffix: what an image and its label have in common."""
    return PurePosixPath(*PurePosixPath(file).parts[1:]).with_suffix("").as_posix()

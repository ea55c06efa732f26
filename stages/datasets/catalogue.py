"""The data sources by name, and the module that holds each: `collect(config, work) -> Layout`."""

from dataclasses import dataclass

from pipeline.errors import DataError
from pipeline.nearest import nearest


@dataclass(frozen=True)
class Source:
    """One way to come by images and labels."""

    module: str
    """Dotted module that holds `collect`."""
    reads_root: bool
    """Whether the files lie below `data.root`; otherwise the source writes them itself."""


SOURCES = {
    "synthetic": Source("stages.datasets.synthetic", reads_root=False),
    "camvid": Source("stages.datasets.camvid", reads_root=True),
    "folder": Source("stages.datasets.folder", reads_root=True),
}


def source_of(name: str) -> Source:
    """The source of that name; DataError that offers the nearest when there is none."""
    if name not in SOURCES:
        raise DataError(f"data.source = {name!r} is not a source: {nearest(name, SOURCES)}")
    return SOURCES[name]

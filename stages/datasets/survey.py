"""One look at a whole data set: its layout, everything in it read once, and what is wrong with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.errors import DataError
from stages.datasets.catalogue import recognise, source_of
from stages.datasets.checks import Checked, check
from stages.datasets.config import DataConfig
from stages.datasets.findings import Finding, Kind
from stages.datasets.index import Index, label_map, network_classes
from stages.datasets.layout import Layout, Pair
from stages.datasets.statistics import frequencies, image_sizes
from stages.preprocess import Preprocess


@dataclass(frozen=True)
class Survey:
    """A data set and what was found."""

    layout: Layout
    index: Index
    """Of the samples without a fault."""
    checked: Checked

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that is wrong, faults and warnings."""
        return self.checked.findings

    def sizes(self) -> dict[str, int]:
        """Pairs of each split as the layout lists them."""
        return {split: len(pairs) for split, pairs in self.layout.splits.items()}

    def to_json(self) -> dict[str, Any]:
        """What `data check --json` prints."""
        return {
            "root": str(self.layout.root),
            "source": self.layout.name,
            "images": self.sizes(),
            "splits": self.layout.split_rule,
            "classes": [{"id": c.id, "name": c.name, "rgb": list(c.rgb)} for c in self.index.classes],
            "frequencies": frequencies(self.checked.counts, self.index),
            "sizes": image_sizes(self.checked.splits),
            "findings": [finding.to_json() for finding in self.findings],
        }


Bar = Callable[[int], Callable[[int], None]]
"""Function of the number of pairs to come that gives a function to call with how many were read."""


def survey(config: DataConfig, work: Path, bar: Bar) -> Survey:
    """Collect the source's layout into `work` where it makes its images itself, then read every pair once."""
    source = source_of(config.source)
    layout = source.load().collect(config, work)
    layout = replace(layout, splits=hold_out(layout.splits, config.holdout))
    checked = check(layout, source.published, bar(sum(map(len, layout.splits.values()))))
    index = Index(
        name=layout.name,
        preprocess=Preprocess(*config.size_px, config.resize),
        embedded=not source.reads_root,
        label_map=label_map(layout.classes),
        splits=checked.splits,
        classes=network_classes(layout.classes),
    )
    return Survey(layout, index, checked)


def survey_root(root: Path, source: str | None, bar: Bar) -> dict[str, Any]:
    """The survey of a folder as plain values; `source` None takes the one that recognises it.

    A layout that cannot be followed at all is a finding too; DataError for a root or a source that is not there.
    """
    if not root.is_dir():
        raise DataError(f"no folder {root}: give the one that holds the data set")
    name = source or recognise(root)
    if not source_of(name).reads_root:
        raise DataError(f"{name} makes its own images: there is no folder to check")
    config = DataConfig(source=name, root=root)
    with TemporaryDirectory() as work:
        try:
            return survey(config, Path(work), bar).to_json()
        except DataError as error:
            finding = Finding(Kind.LIST, ".", str(error))
            return {"root": str(root), "source": name, "images": {}, "findings": [finding.to_json()]}


def hold_out(splits: Mapping[str, tuple[Pair, ...]], prefixes: tuple[str, ...]) -> dict[str, tuple[Pair, ...]]:
    """The splits, with the training pairs whose file name starts with a prefix in place of val's own."""
    if not prefixes:
        return dict(splits)
    train = splits.get("train", ())
    for prefix in prefixes:
        if not any(Path(pair.image).name.startswith(prefix) for pair in train):
            raise DataError(f"data.holdout: no training image's file name starts with {prefix!r}")
    held = tuple(pair for pair in train if Path(pair.image).name.startswith(prefixes))
    kept = tuple(pair for pair in train if not Path(pair.image).name.startswith(prefixes))
    return {**splits, "train": kept, "val": held}

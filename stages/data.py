"""Stage `data`: find or make the images, check every label, publish the index that all later stages read."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import DataError
from pipeline.stage import Context, Outputs
from stages.datasets.catalogue import source_of
from stages.datasets.config import DataConfig as Config
from stages.datasets.layout import Pair, existing_root, files_below

if TYPE_CHECKING:
    from stages.datasets.checks import Checked
    from stages.datasets.index import Index

VERSION = 1


def needs(config: Config) -> tuple[str, ...]:
    """Nothing: the pipeline starts here."""
    return ()


def code(config: Config) -> tuple[str, ...]:
    """The chosen source's module."""
    return (source_of(config.source).module,)


def source_files(config: Config) -> dict[str, str]:
    """Every file below `data.root` that can count; DataError where the root is missing."""
    if not source_of(config.source).reads_root:
        return {}
    return files_below(existing_root(config.root, config.source))


def run(ctx: Context, inputs: Mapping[str, Path], config: Config) -> Outputs:
    """Publish index.json, labels.json, preprocess.json, frequencies.json, and images that the source made."""
    from stages.datasets.checks import check
    from stages.datasets.index import Index, label_map, network_classes, write_index
    from stages.preprocess import Preprocess

    source = source_of(config.source)
    layout = import_module(source.module).collect(config, ctx.work)
    splits = hold_out(layout.splits, config.holdout)
    ctx.log(f"{layout.name}: {sizes(splits)} images, splits by {layout.split_rule}")
    total = sum(len(pairs) for pairs in splits.values())
    with ctx.progress("check images and labels", total, 0) as bar:
        checked = check(layout.root, splits, layout.classes, lambda n: bar.step(n, {}))
    index = Index(
        name=layout.name,
        preprocess=Preprocess(*config.size_px, config.resize),
        embedded=not source.reads_root,
        label_map=label_map(layout.classes),
        splits=checked.splits,
        classes=network_classes(layout.classes),
    )
    write_index(ctx.work, index)
    shares = frequencies(checked, index)
    (ctx.work / "frequencies.json").write_text(json.dumps(shares, indent=1) + "\n", encoding="utf-8")
    for name, share in shares["train"]["classes"].items():
        if share == 0:
            ctx.log(f"no pixel of class {name} in split train: it cannot be learned")
    return Outputs(summary={"images": sizes(splits), "classes": len(index.classes)})


def hold_out(splits: Mapping[str, tuple[Pair, ...]], prefixes: tuple[str, ...]) -> dict[str, tuple[Pair, ...]]:
    """The splits, with the training pairs whose file name starts with a prefix in place of val's own."""
    if not prefixes:
        return dict(splits)
    train = splits["train"]
    for prefix in prefixes:
        if not any(Path(pair.image).name.startswith(prefix) for pair in train):
            raise DataError(f"data.holdout: no training image's file name starts with {prefix!r}")
    held = tuple(pair for pair in train if Path(pair.image).name.startswith(prefixes))
    return {**splits, "train": tuple(pair for pair in train if pair not in held), "val": held}


def sizes(splits: Mapping[str, tuple[Pair, ...]]) -> str:
    """`train 367, val 101, test 233`."""
    return ", ".join(f"{split} {len(pairs)}" for split, pairs in splits.items())


def frequencies(checked: "Checked", index: "Index") -> dict[str, Any]:
    """Per split: the share of all pixels that each class has, and the share that is ignored."""
    return {split: shares(counts, index) for split, counts in checked.counts.items() if counts.any()}


def shares(counts: Any, index: "Index") -> dict[str, Any]:
    """Pixel counts by label value (256) as shares by class."""
    by_class = [0] * 256
    for value, count in enumerate(counts.tolist()):
        by_class[index.label_map[value]] += count
    total = sum(by_class)
    return {
        "classes": {c.name: by_class[c.id] / total for c in index.classes},
        "ignored": by_class[255] / total,
    }

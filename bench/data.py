"""Images a second of one core, from file to training crop, beside the pipeline of the public distillation code.

Why: a loader that cannot feed the GPU is the commonest reason for an idle one, and every worker costs memory.

Three pipelines take turns in one process on one thread, over the same files with the same ranges of scale, mirror and
crop. A call makes one batch.

- `plain`: Pillow opens image and label, both are scaled whole, mirrored, padded and cropped, then ToTensor and
  Normalize of torchvision.transforms: float32 crops. So do the published repositories of the field.
- `ours`: the stream that training reads (stages/loading/loader.py), every image decoded each time. Its crops are
  uint8; the network normalises them on its own device.
- `cached`: the same from decoded images on disk (`decoded = "disk"`).

Memory a worker: what a forked loader process has written to for itself after a few batches (Private_Dirty of
/proc/self/smaps_rollup); decoded images on disk are shared and count for none.

    python -m bench.data --root CAMVID --json
"""

import json
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import cv2
import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision import transforms

from bench.machine.environment import describe
from bench.program import program
from bench.turns.ratio import paired_ratio
from bench.turns.timing import Candidate, Row, Schedule, measure
from pipeline.errors import DataError
from stages.datasets.catalogue import source_of
from stages.datasets.checks import check
from stages.datasets.config import DataConfig
from stages.datasets.index import Index, Sample, label_map, network_classes
from stages.datasets.layout import IGNORE, Layout
from stages.loading.augment import Augmentation
from stages.loading.loader import Stream
from stages.loading.pictures import Pictures
from stages.preprocess import PAD_RGB, Preprocess

BATCH = 4
SCALE = (0.7, 2.1)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FLOORS = {"ours": 2.0, "cached": 4.0}
"""How many times faster than `plain` each must be."""
WORKER_BATCHES = 4
KIB_PER_MIB = 1024
PAPER_SIZE_PX = (1024, 2048)


@dataclass(frozen=True)
class Pictured:
    """A set of files to be read."""

    name: str
    index: Index
    root: Path


class Plain:
    """The comparison: Pillow and torchvision.transforms on whole images, float32 out."""

    def __init__(self, files: Pictured, crop_px: tuple[int, int], scale: tuple[float, float] = SCALE) -> None:
        self.files = files
        self.crop_px = crop_px
        self.scale = scale
        self.rng = np.random.default_rng(0)
        self.ids = np.array(files.index.label_map, dtype=np.uint8)
        self.to_tensor = transforms.Compose([transforms.ToTensor(), transforms.Normalize(*IMAGENET)])

    def batch(self, samples: Sequence[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
        """Crops float32 N x 3 x H x W and labels int64 N x H x W."""
        images, labels = zip(*(self.crop(sample) for sample in samples), strict=True)
        return torch.stack(images), torch.stack(labels)

    def crop(self, sample: Sample) -> tuple[torch.Tensor, torch.Tensor]:
        """One augmented sample."""
        image = Image.open(self.files.root / sample.image).convert("RGB")
        label = Image.fromarray(self.ids[np.array(Image.open(self.files.root / str(sample.label)))])
        scale = self.rng.uniform(*self.scale)
        size = (round(image.width * scale), round(image.height * scale))
        image, label = image.resize(size, Image.Resampling.BILINEAR), label.resize(size, Image.Resampling.NEAREST)
        if self.rng.random() < 0.5:
            image, label = (each.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for each in (image, label))
        height, width = self.crop_px
        border = (0, 0, max(0, width - size[0]), max(0, height - size[1]))
        if any(border):
            image, label = ImageOps.expand(image, border, PAD_RGB), ImageOps.expand(label, border, IGNORE)
        left, top = (int(self.rng.integers(0, free, endpoint=True)) for free in self.free(image))
        box = (left, top, left + width, top + height)
        return self.to_tensor(image.crop(box)), torch.from_numpy(np.array(label.crop(box), dtype=np.int64))

    def free(self, image: Image.Image) -> tuple[int, int]:
        """Columns and rows by which a picture is larger than the crop."""
        return image.width - self.crop_px[1], image.height - self.crop_px[0]


def calls(files: Pictured, crop_px: tuple[int, int], cache: Path) -> dict[str, Callable[[], Callable[[], object]]]:
    """For each pipeline: a function that loads it and gives a function that makes the next batch."""
    samples = files.index.samples("train")

    def plain() -> Callable[[], object]:
        pipeline, position = Plain(files, crop_px), iter(range(sys.maxsize))
        return lambda: pipeline.batch([samples[(next(position)) % len(samples)] for _ in range(BATCH)])

    def stream(keep: str) -> Callable[[], object]:
        pictures = Pictures(files.index, files.root, "train", keep, cache)
        batches, iteration = Stream(pictures, Augmentation(crop_px, SCALE), BATCH, seed=0), iter(range(sys.maxsize))
        return lambda: batches[next(iteration)]

    return {"plain": plain, "ours": lambda: stream("none"), "cached": lambda: stream("disk")}


def compare(files: Pictured, crop_px: tuple[int, int], schedule: Schedule) -> dict[str, Any]:
    """Rows and ratios of the three pipelines over one set of files."""
    with TemporaryDirectory() as cache:
        loads = calls(files, crop_px, Path(cache))
        rows = measure([Candidate(name, load) for name, load in loads.items()], schedule)
        memory = {name: worker_mib(load) for name, load in loads.items()}
    failed = [row for row in rows if row.status != "ok"]
    if failed:
        raise DataError(f"{files.name}: {failed[0].name} failed: {failed[0].why}")
    plain, *others = rows
    return {
        "files": files.name,
        "images": len(files.index.samples("train")),
        "size_px": list(files.index.size_px),
        "crop_px": list(crop_px),
        "rows": [described(row, memory[row.name]) for row in rows],
        "ratios": [{**asdict(paired_ratio(plain, row)), "floor": FLOORS[row.name]} for row in others],
    }


def described(row: Row, worker: float | None) -> dict[str, Any]:
    """One pipeline's figures; `images_per_s` from the median batch, `images_per_s_wall` over the whole time."""
    measured = row.to_json(batch=BATCH)
    return {
        "name": row.name,
        "images_per_s": 1000 * BATCH / measured["statistics"]["p50_ms"],
        "images_per_s_wall": measured["images_per_s"],
        "batch_ms": measured["statistics"],
        "worker_private_mib": worker,
    }


def worker_mib(load: Callable[[], Callable[[], object]]) -> float | None:
    """Memory that a forked worker writes to while it makes a few batches, in MiB; None where Linux does not tell it."""
    if sys.platform != "linux":
        return None
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work_and_tell, args=(load, sender))
    process.start()
    told: float = receiver.recv()
    process.join()
    return told


def work_and_tell(load: Callable[[], Callable[[], object]], sender: Any) -> None:
    """A worker's life: a few batches, then what it has written to."""
    call = load()
    for _ in range(WORKER_BATCHES):
        call()
    sender.send(private_dirty_kib(Path("/proc/self/smaps_rollup").read_text()) / KIB_PER_MIB)


def private_dirty_kib(smaps: str) -> int:
    """`Private_Dirty:  1234 kB` in the text of smaps_rollup."""
    return next(int(line.split()[1]) for line in smaps.splitlines() if line.startswith("Private_Dirty"))


def camvid(root: Path, images: int) -> Pictured:
    """Evenly spread training images of a data set in the layout of `camvid`."""
    layout = source_of("camvid").load().collect(DataConfig(source="camvid", root=root), root)
    train = layout.splits["train"]
    chosen = tuple(train[i * len(train) // images] for i in range(min(images, len(train))))
    layout = replace(layout, splits={"train": chosen})
    first = check(replace(layout, splits={"train": chosen[:1]}), True, ignore).splits["train"][0]
    return pictured("camvid JPEG", layout, (first.height, first.width))


def synthetic(folder: Path, images: int, size_px: tuple[int, int]) -> Pictured:
    """Synthetic road scenes, written as PNG."""
    config = DataConfig(size_px=size_px, train_images=images, val_images=0, test_images=0)
    layout = source_of("synthetic").load().collect(config, folder)
    return pictured("synthetic PNG", layout, size_px)


def pictured(name: str, layout: Layout, size_px: tuple[int, int]) -> Pictured:
    """The files of a layout as training reads them, at their own size."""
    samples = check(layout, True, ignore).splits
    classes = network_classes(layout.classes)
    index = Index(layout.name, Preprocess(*size_px), False, label_map(layout.classes), samples, classes)
    return Pictured(name, index, layout.root)


def ignore(count: int) -> None:
    """Takes the count of images and shows nothing."""


def table(report: dict[str, Any]) -> str:
    """One line a pipeline: images a second, how many times faster than plain, memory a worker."""
    lines = [f"{'files':<16}{'pipeline':<10}{'images/s':>9}{'times plain':>24}{'floor':>7}{'MiB a worker':>14}{'n':>6}"]
    for part in report["sets"]:
        ratios = {ratio["denominator"]: ratio for ratio in part["ratios"]}
        for row in part["rows"]:
            ratio = ratios.get(row["name"])
            times = f"{ratio['ratio']:.2f} ({ratio['low']:.2f}..{ratio['high']:.2f})" if ratio else "1"
            floor = f"{ratio['floor']:g}" if ratio else "-"
            memory = "-" if row["worker_private_mib"] is None else f"{row['worker_private_mib']:.0f}"
            lines.append(
                f"{part['files']:<16}{row['name']:<10}{row['images_per_s']:>9.1f}{times:>24}{floor:>7}{memory:>14}"
                f"{row['batch_ms']['n']:>6}"
            )
    return "\n".join(lines)


@click.command()
@click.option("--root", type=click.Path(path_type=Path), help="CamVid; without it, the PNGs alone.")
@click.option("--crop", type=click.IntRange(8), default=512, show_default=True, help="Side of the crop in pixels.")
@click.option("--images", type=click.IntRange(1), default=64, show_default=True, help="CamVid images to read.")
@click.option("--scenes", type=click.IntRange(1), default=8, show_default=True, help="PNGs to make and read.")
@click.option("--min-s", type=float, default=10.0, show_default=True, help="Shortest measurement of a pipeline.")
@click.option("--max-s", type=float, default=60.0, show_default=True, help="Longest measurement of a pipeline.")
@click.option("--scene-height", type=click.IntRange(16), default=PAPER_SIZE_PX[0], show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    root: Path | None, crop: int, images: int, scenes: int, min_s: float, max_s: float, scene_height: int, as_json: bool
) -> None:
    """Measure images a second of one core, from file to crop, and the memory of a worker."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    environment = describe(threads=1)
    schedule = Schedule(warmup_s=min(3.0, min_s), min_s=min_s, max_s=max_s, min_samples=30, repeats=5)
    with TemporaryDirectory() as folder:
        sets = [camvid(root, images)] if root else []
        sets.append(synthetic(Path(folder), scenes, (scene_height, 2 * scene_height)))
        compared = [compare(files, (crop, crop), schedule) for files in sets]
    report = {"batch": BATCH, "scale": list(SCALE), "sets": compared, "environment": environment}
    click.echo(json.dumps(report) if as_json else table(report))


main = program(command)

if __name__ == "__main__":
    sys.exit(main())

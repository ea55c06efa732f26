"""Training and scoring a position read-out over frozen maps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pipeline.group.ranks import Group
from pipeline.stage import Context
from stages.datasets.index import Index, Sample, images_root
from stages.datasets.pixels import read_fitted_image
from stages.datasets.spread import spread
from stages.nets.normalise import Normalise
from stages.nets.position import PositionNet, position_targets
from stages.nets.saved import load_net
from stages.nets.taps import add_taps
from stages.training.device import memory_format, resolve_precision
from stages.training.loop import train
from stages.training.memory import memory_told, too_large
from stages.training.share import check_images
from stages.training.start import place

if TYPE_CHECKING:
    from stages.position import Config

AXES = ("horizontal", "vertical")
CACHE_BYTES = 2 << 30
CONTENT_CONVOLUTIONS = 4


@dataclass(frozen=True)
class Readout:
    """A frozen map and the network that reads position out of it."""

    title: str
    maps: Callable[[Tensor], Tensor]
    """Images 1 x H x W x 3 uint8 -> map 1 x C x h x w."""
    net: PositionNet


def feature_readout(
    fabric: Fabric, teacher: Path, size_px: tuple[int, int], config: Config, device: str
) -> tuple[Readout, tuple[int, int]]:
    """Read-out over the teacher's tap, and that tap's grid for an image of `size_px`."""
    net, spec = load_net(teacher)
    net = place(net, config, device).eval().requires_grad_(False)
    add_taps(net, spec, [config.tap], size_px)
    normalise = Normalise(spec.mean, spec.std).to(device)

    height, width = size_px
    precision = resolve_precision(config.precision, device)
    too_large = (
        f"position: memory of the {device} does not suffice for the teacher's map of one image of {height}x{width}, "
        f"precision {precision}: give a smaller data.size_px" + (", or bf16-mixed" if precision == "fp32" else "")
    )

    def maps(images_NHWC: Tensor) -> Tensor:
        with memory_told(too_large), fabric.autocast():
            return net(normalise(images_NHWC))[config.tap]

    with torch.no_grad():
        grid_hw = maps(torch.zeros(1, *size_px, 3, dtype=torch.uint8, device=device)).shape[-2:]
    return Readout("position", maps, PositionNet(net.tap_channels[config.tap], config.hidden)), tuple(grid_hw)


def content_readout(grid_hw: tuple[int, int], config: Config) -> Readout:
    """Read-out over the image itself, averaged to the tap's grid: what content alone tells of position."""

    def maps(images_NHWC: Tensor) -> Tensor:
        images_NCHW = images_NHWC.permute(0, 3, 1, 2).float() / 127.5 - 1
        return nn.functional.interpolate(images_NCHW, size=grid_hw, mode="area")

    return Readout("content only", maps, PositionNet(3, config.hidden, CONTENT_CONVOLUTIONS))


class FrozenMaps:
    """Maps of a split's images, computed on demand and kept while they fit into memory."""

    def __init__(
        self, maps: Callable[[Tensor], Tensor], samples: Sequence[Sample], index: Index, root: Path, device: str
    ) -> None:
        self.maps = maps
        self.samples = samples
        self.preprocess = index.preprocess
        self.root = root
        self.device = device
        self.kept: dict[tuple[int, bool], Tensor] = {}
        self.kept_bytes = 0

    @torch.no_grad()
    def map_of(self, position: int, mirrored: bool = False) -> Tensor:
        """The C x h x w map of image `position`, or of its mirror image."""
        if (position, mirrored) in self.kept:
            return self.kept[position, mirrored]
        image_HWC = read_fitted_image(self.root, self.samples[position], self.preprocess)
        if mirrored:
            image_HWC = image_HWC[:, ::-1]
        images_NHWC = torch.from_numpy(np.ascontiguousarray(image_HWC))[None].to(self.device)
        map_CHW = self.maps(images_NHWC)[0]
        size = map_CHW.numel() * map_CHW.element_size()
        if self.kept_bytes + size <= CACHE_BYTES:
            self.kept[position, mirrored] = map_CHW
            self.kept_bytes += size
        return map_CHW

    def batches(self, start: int, config: Config, group: Group) -> Generator[Tensor]:
        """This process's share of batches N x C x h x w; what stands in one depends on (seed, iteration) alone."""
        own = group.share(config.batch)
        for iteration in range(start, config.iterations):
            rng = np.random.default_rng((config.seed, iteration))
            positions = rng.integers(len(self.samples), size=config.batch)
            mirrored = rng.random(config.batch) < (0.5 if config.mirror else 0.0)
            maps = [self.map_of(int(p), bool(m)) for p, m in zip(positions[own], mirrored[own], strict=True)]
            yield torch.stack(maps).contiguous(memory_format=memory_format(config.channels_last))


class RampError(nn.Module):
    """Mean squared error of the read-out against the two ramps: maps N x C x h x w -> (total, terms).

    The maps of all processes are equal in shape, so that the mean of their means is the batch's.
    """

    def __init__(self, net: PositionNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, maps_NCHW: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum of the two axes' errors, and each of them."""
        targets = position_targets(*maps_NCHW.shape[-2:], self.net.margin).to(maps_NCHW.device)
        errors = (self.net(maps_NCHW).float() - targets).square().mean(dim=(0, 2, 3))
        return errors.sum(), dict(zip(AXES, errors.detach(), strict=True))


def train_and_score(
    fabric: Fabric, readout: Readout, data: Path, index: Index, config: Config, ctx: Context
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Train a read-out in place on the train split; returns its history and its held-out scores per axis.

    All processes train it; rank 0 alone scores it, on the few images that there are, and the others have no scores.
    """
    root = images_root(data, index, ctx.settings)
    check_images(len(index.samples("train")), ctx.group)
    maps = FrozenMaps(readout.maps, index.samples("train"), index, root, ctx.device)
    module = place(RampError(readout.net), config, ctx.device)

    def batches(start: int) -> Generator[Tensor]:
        return maps.batches(start, config, ctx.group)

    def parts(iteration: int, maps_NCHW: Tensor) -> Iterator[tuple[Tensor]]:
        return ((part_nCHW,) for part_nCHW in maps_NCHW.chunk(config.accumulate))

    with memory_told(too_large(readout.title, config, ctx)):
        history = train(fabric, module, batches, parts, config, ctx, readout.title)
    if not ctx.group.leads:
        return history, {}
    held_out = spread(index.samples(config.held_out), config.held_out_images)
    maps = FrozenMaps(readout.maps, held_out, index, root, ctx.device)
    scores = score(readout.net.eval(), (maps.map_of(i).float() for i in range(len(held_out))))
    for axis, values in scores.items():
        ctx.log(f"{readout.title}: {axis} Spearman {values['spearman']:.3f}, MSE {values['mse']:.4f}")
    return history, scores


@torch.no_grad()
def score(net: PositionNet, maps: Iterator[Tensor]) -> dict[str, dict[str, float]]:
    """Spearman correlation with the ramp and mean squared error per axis, averaged over the maps (each C x h x w)."""
    spearmans, errors = [], []
    for map_CHW in maps:
        predicted = net(map_CHW[None])[0].float().cpu().numpy()
        targets = position_targets(*map_CHW.shape[-2:], net.margin).numpy()
        spearmans.append([spearman(p, t) for p, t in zip(predicted, targets, strict=True)])
        errors.append(np.square(predicted - targets).mean(axis=(1, 2)))
    means = zip(np.mean(spearmans, axis=0), np.mean(errors, axis=0), strict=True)
    return {axis: {"spearman": float(s), "mse": float(e)} for axis, (s, e) in zip(AXES, means, strict=True)}


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman rank correlation, ties at their average rank; 0 where either is constant."""
    ranks_a, ranks_b = average_ranks(a.ravel()), average_ranks(b.ravel())
    if np.ptp(ranks_a) == 0 or np.ptp(ranks_b) == 0:
        return 0.0
    return float(np.corrcoef(ranks_a, ranks_b)[0, 1])


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Rank of each value, equal values sharing the mean of their ranks."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[group]

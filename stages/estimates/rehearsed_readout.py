"""A few real steps of a position read-out on random maps, and one map of the teacher."""

from __future__ import annotations

import time

import torch
from lightning_fabric import Fabric

from stages.estimates.images import fastest
from stages.estimates.memory import watched
from stages.estimates.rehearsed import BACKWARD, MOST_MACS, Size, Stream, built, macs, shrunk
from stages.nets.config import NetConfig
from stages.nets.normalise import Normalise
from stages.nets.position import PositionNet
from stages.position import Config
from stages.training.device import memory_format, start_fabric
from stages.training.readout import CONTENT_CONVOLUTIONS, RampError
from stages.training.start import place


def rehearse(config: Config, net: NetConfig, classes: int, size_px: Size, device: str) -> dict[str, float]:
    """Seconds of set-up, of a teacher's map, of a step of either read-out; bytes of a map, MiB at most, parameters."""
    began = time.perf_counter()
    fabric = start_fabric(config.precision, device, config.seed)
    setup_s = time.perf_counter() - began
    with watched(device) as held:
        map_NChw, map_s = teachers_map(fabric, config, net, classes, size_px, device)
        channels, grid = map_NChw.shape[1], (map_NChw.shape[2], map_NChw.shape[3])
        features = PositionNet(channels, config.hidden)
        content = PositionNet(3, config.hidden, CONTENT_CONVOLUTIONS)
        features_s, scale = step(fabric, features, channels, grid, map_NChw.dtype, config, device)
        content_s, _ = step(fabric, content, 3, grid, torch.float32, config, device)
    return {
        "setup_s": setup_s,
        "map_s": map_s,
        "map_bytes": map_NChw[0].numel() * map_NChw.element_size(),
        "features_step_s": features_s,
        "content_step_s": content_s,
        "peak_mib": held.scaled(scale),
        "parameters": sum(p.numel() for p in features.parameters()),
    }


def teachers_map(
    fabric: Fabric, config: Config, net: NetConfig, classes: int, size_px: Size, device: str
) -> tuple[torch.Tensor, float]:
    """A map as large as that of an image of `size_px`, without values, and the seconds that it takes the teacher."""

    def cost(size: Size, batch: int) -> float:
        return batch * macs(net, classes, size)

    tried_px, _ = shrunk(size_px, 1, cost, MOST_MACS[device])
    teacher, spec = built(net, classes, [config.tap], tried_px, device)
    place(teacher, config, device).eval()
    images_NCHW = Normalise(spec.mean, spec.std)(torch.zeros(1, *tried_px, 3, dtype=torch.uint8)).to(device)

    @torch.no_grad()
    def forward() -> torch.Tensor:
        with fabric.autocast():
            map_NChw: torch.Tensor = teacher(images_NCHW)[config.tap]
        if device == "cuda":
            torch.cuda.synchronize()
        return map_NChw

    seconds = fastest(forward) * cost(size_px, 1) / cost(tried_px, 1)
    tried = forward()
    h, w = (-(-side * full // small) for side, full, small in zip(tried.shape[2:], size_px, tried_px, strict=True))
    return torch.empty(1, tried.shape[1], h, w, dtype=tried.dtype), seconds


def step(
    fabric: Fabric, net: PositionNet, channels: int, grid: Size, dtype: torch.dtype, config: Config, device: str
) -> tuple[float, float]:
    """Seconds of a step on maps of this grid, and by how much it was scaled."""
    widths = sum(parameter.numel() for parameter in net.parameters() if parameter.ndim == 4)

    def cost(size: Size, batch: int) -> float:
        return batch * size[0] * size[1] * widths * (1 + BACKWARD)

    tried_hw, batch = shrunk(grid, config.batch, cost, MOST_MACS[device])
    maps_NChw = torch.randn(batch, channels, *tried_hw, device=device).to(dtype)
    stream = Stream(maps_NChw.contiguous(memory_format=memory_format(config.channels_last)))
    module = place(RampError(net), config, device)
    wrapped, optimizer = fabric.setup(module, torch.optim.SGD(module.parameters(), config.lr, config.momentum))
    for batch_NChw in stream.batches(0):
        total, _ = wrapped(batch_NChw)
        fabric.backward(total)
        optimizer.step()
        optimizer.zero_grad()
    scale = cost(grid, config.batch) / cost(tried_hw, batch)
    return stream.step_s() * scale, scale

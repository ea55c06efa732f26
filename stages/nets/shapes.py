"""The size of every map that a network gives, known before the first step."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from stages.nets.eval_mode import eval_mode


class MapShape(NamedTuple):
    """A map of one image."""

    channels: int
    h: int
    w: int

    @property
    def grid(self) -> str:
        """Height and width as `65x129`."""
        return f"{self.h}x{self.w}"


@torch.no_grad()
def map_shapes(net: nn.Module, size_px: tuple[int, int]) -> Mapping[str, MapShape]:
    """Shape of each map of `net` for images of `size_px` (height, width), by one pass over a blank image.

    The pass is made in eval mode, so that neither statistics nor the random state change; each module's mode is put
    back.
    """
    parameter = next(net.parameters())
    image_1CHW = torch.zeros(1, 3, *size_px, dtype=parameter.dtype, device=parameter.device)
    with eval_mode(net):
        maps = net(image_1CHW)
    return {name: MapShape(*map_NChw.shape[1:]) for name, map_NChw in maps.items()}

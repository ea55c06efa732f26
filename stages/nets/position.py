"""Position network (Islam et al. 2020; section 3.3 of the paper): reads absolute position out of features."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import NetworkError


class PositionNet(nn.Module):
    """3x3 convolutions without padding, which would leak position, to one map for each axis.

    `margin` is the number of cells that each side of the map loses: one a convolution.
    """

    def __init__(self, channels: int, hidden: int, convolutions: int = 2) -> None:
        super().__init__()
        self.channels = channels
        self.margin = convolutions
        widths = [channels, *[hidden] * (convolutions - 1)]
        layers: list[nn.Module] = []
        for width in widths[:-1]:
            layers += [nn.Conv2d(width, hidden, 3), nn.ReLU(inplace=True)]
        self.read = nn.Sequential(*layers, nn.Conv2d(widths[-1], 2, 3))

    def forward(self, features_NChw: Tensor, adapter: nn.Conv2d | None = None) -> Tensor:
        """Features N x channels x h x w to float32 N x 2 x (h - 2 margin) x (w - 2 margin) in (0, 1).

        Channel 0 is HOR, 0 at the left to 1 at the right; channel 1 is VER, 0 at the top to 1 at the bottom. Features
        of another width come with the 1x1 `adapter` without bias that leads to `channels`. NetworkError where no cell
        is left.
        """
        _check_grid(features_NChw.shape[-2], features_NChw.shape[-1], self.margin)
        first, *rest = self.read
        assert isinstance(first, nn.Conv2d)
        weight = first.weight if adapter is None else composed(first.weight, adapter.weight)
        hidden = F.conv2d(features_NChw, weight, first.bias)
        for layer in rest:
            hidden = layer(hidden)
        return torch.sigmoid(hidden.float())


def composed(weight_OC33: Tensor, adapter_CI11: Tensor) -> Tensor:
    """Weight O x I x 3 x 3 of one convolution that does what the adapter and then the unpadded convolution do.

    From 128 channels to a read-out of 512 it spares four fifths of the multiplications.
    """
    with torch.autocast(weight_OC33.device.type, enabled=False):
        return torch.einsum("ocij,ck->okij", weight_OC33, adapter_CI11.flatten(1))


def position_targets(h: int, w: int, margin: int, device: torch.device | str | None = None) -> Tensor:
    """What PositionNet should answer for an `h` x `w` grid: float32 2 x (h - 2 margin) x (w - 2 margin).

    The ramps run 0..1 over the whole grid and are then cropped by `margin` on each side: channel 0 left to
    right, channel 1 top to bottom. NetworkError where no cell is left.
    """
    _check_grid(h, w, margin)
    hor_w = torch.linspace(0, 1, w, device=device)[margin : w - margin]
    ver_h = torch.linspace(0, 1, h, device=device)[margin : h - margin]
    ver_hw, hor_hw = torch.meshgrid(ver_h, hor_w, indexing="ij")
    return torch.stack([hor_hw, ver_hw])


def _check_grid(h: int, w: int, margin: int) -> None:
    if min(h, w) <= 2 * margin:
        raise NetworkError(
            f"features of {h}x{w} cells leave none after {margin} on each side; use larger images or crops"
        )

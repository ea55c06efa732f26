"""ESPNet (Mehta et al. 2018): an encoder of efficient spatial pyramids and a light decoder, 0.36M parameters.

`_2`, `_4`, `_8` in a name say how much coarser than the images a map is. Every stride rounds up, so after a
doubling a map is cropped to the finer map beside it.
"""

import torch
from torch import Tensor, nn

from pipeline.errors import NetworkError
from stages.nets.dilated import DilatedConv2d
from stages.nets.layers import cropped, initialise

RATES = (1, 2, 4, 8, 16)
"""Dilations of the parallel 3x3 convolutions of one spatial pyramid."""

BN_EPS = 1e-3
"""The authors' own; the momentum is torch's 0.1, and each PReLU's slope starts at torch's 0.25."""


def conv(channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Convolution without bias that keeps the grid at stride 1."""
    return nn.Conv2d(channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)


def norm_act(channels: int) -> nn.Sequential:
    """Batch norm and a PReLU with one slope a channel."""
    return nn.Sequential(nn.BatchNorm2d(channels, eps=BN_EPS), nn.PReLU(channels))


def double(channels: int) -> nn.ConvTranspose2d:
    """Learned doubling of the grid: each cell becomes 2 x 2."""
    return nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=False)


class SpatialPyramid(nn.Module):
    """ESP module (section 3): reduce, five dilated 3x3 convolutions, hierarchical sums, concatenation.

    The reduction is 1x1, or 3x3 with stride 2. The sums hide the gridding of the sparse kernels.
    """

    def __init__(self, channels: int, out_channels: int, stride: int = 1, residual: bool = False) -> None:
        super().__init__()
        assert not residual or (stride == 1 and channels == out_channels)
        narrow = out_channels // len(RATES)
        widths = [out_channels - narrow * (len(RATES) - 1)] + [narrow] * (len(RATES) - 1)
        self.residual = residual
        self.reduce = conv(channels, narrow, 1 if stride == 1 else 3, stride)
        self.dilated = nn.ModuleList(
            DilatedConv2d(narrow, out, rate) if rate > 1 else conv(narrow, out, 3)
            for rate, out in zip(RATES, widths, strict=True)
        )
        self.norm_act = norm_act(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x out_channels x h/stride x w/stride."""
        reduced = self.reduce(x)
        # The undilated map stands alone: it may be wider than the others.
        first, total, *rest = (dilated(reduced) for dilated in self.dilated)
        parts = [first, total]
        for part in rest:
            total = total + part
            parts.append(total)
        merged = torch.cat(parts, dim=1)
        out: Tensor = self.norm_act(x + merged if self.residual else merged)
        return out


def pyramids(channels: int, blocks: int) -> nn.Sequential:
    """`blocks` residual ESP modules of one width."""
    return nn.Sequential(*(SpatialPyramid(channels, channels, residual=True) for _ in range(blocks)))


class ESPNet(nn.Module):
    """ESPNet with `p` modules at 1/4 and `q` at 1/8; `logits` have the images' own grid.

    Taps, both at 1/8: `backbone` is the last ESP module's map; `pyramid` is that map beside the one that
    entered the stage, normalised, which the encoder's 1x1 classifier reads as PSPNet's reads its `pyramid`.
    There is no auxiliary head.
    """

    def __init__(self, classes: int, p: int, q: int) -> None:
        super().__init__()
        self.aux_head: nn.Module | None = None
        self.tap_channels = {"logits": classes, "backbone": 128, "pyramid": 256}
        self.halve = nn.AvgPool2d(3, stride=2, padding=1)
        self.level1 = nn.Sequential(conv(3, 16, 3, stride=2), norm_act(16))
        self.join1 = norm_act(16 + 3)
        self.down2 = SpatialPyramid(16 + 3, 64, stride=2)
        self.level2 = pyramids(64, p)
        self.join2 = norm_act(2 * 64 + 3)
        self.down3 = SpatialPyramid(2 * 64 + 3, 128, stride=2)
        self.level3 = pyramids(128, q)
        self.join3 = norm_act(2 * 128)
        self.classify3 = nn.Sequential(conv(256, classes, 1), nn.BatchNorm2d(classes, eps=BN_EPS))
        self.double3 = double(classes)
        self.classify2 = conv(2 * 64 + 3, classes, 1)
        self.merge2 = nn.Sequential(norm_act(2 * classes), SpatialPyramid(2 * classes, classes))
        self.double2 = nn.Sequential(double(classes), norm_act(classes))
        self.merge1 = nn.Sequential(conv(classes + 16 + 3, classes, 3), norm_act(classes))
        self.double1 = double(classes)
        initialise(self)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` N x classes x H x W and the taps."""
        entered_2 = self.level1(images_NCHW)
        # Under autocast the float32 images would widen the maps that they are joined to.
        images_2 = self.halve(images_NCHW.to(entered_2.dtype))
        images_4 = self.halve(images_2)
        joined_2 = self.join1(torch.cat([entered_2, images_2], dim=1))
        entered_4 = self.down2(joined_2)
        joined_4 = self.join2(torch.cat([self.level2(entered_4), entered_4, images_4], dim=1))
        entered_8 = self.down3(joined_4)
        backbone_8 = self.level3(entered_8)
        pyramid_8 = self.join3(torch.cat([entered_8, backbone_8], dim=1))
        logits = self._decode(pyramid_8, joined_4, joined_2)
        return {"logits": cropped(logits, images_NCHW), "backbone": backbone_8, "pyramid": pyramid_8}

    def _decode(self, pyramid_8: Tensor, joined_4: Tensor, joined_2: Tensor) -> Tensor:
        classes_4 = cropped(self.double3(self.classify3(pyramid_8)), joined_4)
        merged_4 = self.merge2(torch.cat([self.classify2(joined_4), classes_4], dim=1))
        classes_2 = cropped(self.double2(merged_4), joined_2)
        merged_2 = self.merge1(torch.cat([classes_2, joined_2], dim=1))
        logits: Tensor = self.double1(merged_2)
        return logits


def espnet(classes: int, p: int = 2, q: int = 8) -> ESPNet:
    """ESPNet with `p` ESP modules at 1/4 and `q` at 1/8; NetworkError unless there is one of each.

    NetworkError for fewer than 5 classes too: the decoder's ESP module shares them among its branches.
    """
    if classes < len(RATES):
        raise NetworkError(f"espnet cannot tell {classes} classes; give at least {len(RATES)} or take a pspnet")
    if min(p, q) < 1:
        raise NetworkError(f"espnet has p={p} and q={q} modules; give at least one of each")
    return ESPNet(classes, p, q)

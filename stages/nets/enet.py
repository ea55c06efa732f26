"""ENet (Paszke et al. 2016): bottlenecks of regular, dilated and asymmetric convolutions, 0.36M parameters.

From the paper and the authors' Torch code: PReLU with one slope a channel in the encoder, ReLU in the decoder, batch
norm eps 1e-3 and momentum 0.1, spatial dropout 0.01 in the first five bottlenecks and 0.1 in the encoder's others,
a bias only in the initial, the main and the last convolutions. Deviations: max-unpooling has no TensorRT operator, nor
has max-pooling its indices; here a cell gets the value where it equals its window's maximum, which is the same
but for windows with several equal maxima. Poolings round up and doublings are cropped, so that any size passes.

`_2`, `_4`, `_8` in a name say how much coarser than the images a map is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.nets.dilated import DilatedConv2d
from stages.nets.layers import conv, cropped, initialise

BN_EPS = 1e-3
RATIO = 4
"""A bottleneck works on a quarter of its output's channels."""

ASYMMETRIC = 0
CONTEXT = (1, 2, ASYMMETRIC, 4, 1, 8, ASYMMETRIC, 16)
"""Main convolutions of sections 2 and 3: 3x3 of this dilation, or a pair of 5x1 and 1x5 (table 1)."""


def norm(channels: int, act: nn.Module | None = None) -> nn.Sequential:
    """Batch norm and, where given, an activation."""
    return nn.Sequential(nn.BatchNorm2d(channels, eps=BN_EPS), *([] if act is None else [act]))


def activation(channels: int, encoder: bool) -> nn.Module:
    """PReLU in the encoder, ReLU in the decoder."""
    return nn.PReLU(channels) if encoder else nn.ReLU(inplace=True)


def main_convolution(channels: int, kind: int) -> nn.Module:
    """The convolution between the 1x1 ones; it keeps channels and grid."""
    if kind == ASYMMETRIC:
        return nn.Sequential(
            nn.Conv2d(channels, channels, (1, 5), padding=(0, 2), bias=False),
            nn.Conv2d(channels, channels, (5, 1), padding=(2, 0)),
        )
    if kind == 1:
        return conv(channels, channels, 3, bias=True)
    return DilatedConv2d(channels, channels, kind, bias=True)


def branch(enter: nn.Module, main: nn.Module, channels: int, encoder: bool) -> nn.Sequential:
    """`enter` to a quarter of the channels, `main`, 1x1 to all of them; normalised, activated in between."""
    inner = channels // RATIO
    return nn.Sequential(
        enter,
        norm(inner, activation(inner, encoder)),
        main,
        norm(inner, activation(inner, encoder)),
        conv(inner, channels, 1),
        norm(channels),
    )


class Bottleneck(nn.Module):
    """A branch of three convolutions beside the identity (figure 2b)."""

    def __init__(self, channels: int, kind: int = 1, dropout: float = 0.0, encoder: bool = True) -> None:
        super().__init__()
        inner = channels // RATIO
        self.branch = branch(conv(channels, inner, 1), main_convolution(inner, kind), channels, encoder)
        self.dropout = nn.Dropout2d(dropout)
        self.act = activation(channels, encoder)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to the same."""
        out: Tensor = self.act(x + self.dropout(self.branch(x)))
        return out


class Downsampling(nn.Module):
    """A bottleneck that halves the grid beside a max-pool filled up with zero channels."""

    def __init__(self, channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        inner = out_channels // RATIO
        self.more_channels = out_channels - channels
        enter = nn.Conv2d(channels, inner, 2, stride=2, bias=False)
        self.branch = branch(enter, main_convolution(inner, 1), out_channels, encoder=True)
        self.dropout = nn.Dropout2d(dropout)
        self.act = activation(out_channels, encoder=True)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x out_channels x ceil(h/2) x ceil(w/2)."""
        h, w = x.shape[-2:]
        # Zeros at the end of an odd axis: the 2x2 convolution of stride 2 would drop its last cells.
        even = F.pad(x, (0, w % 2, 0, h % 2)) if h % 2 or w % 2 else x
        pooled = F.pad(F.max_pool2d(x, 2, ceil_mode=True), (0, 0, 0, 0, 0, self.more_channels))
        out: Tensor = self.act(pooled + self.dropout(self.branch(even)))
        return out


class Upsampling(nn.Module):
    """A bottleneck that doubles the grid beside max-unpooling to where the encoder's maxima were."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        inner = out_channels // RATIO
        self.main = nn.Sequential(conv(channels, out_channels, 1), norm(out_channels))
        double = nn.ConvTranspose2d(inner, inner, 3, stride=2, padding=1, output_padding=1)
        self.branch = branch(conv(channels, inner, 1), double, out_channels, encoder=False)
        self.act = activation(out_channels, encoder=False)

    def forward(self, x: Tensor, pooled_from: Tensor) -> Tensor:
        """N x channels x ceil(h/2) x ceil(w/2) and the encoder's map N x out_channels x h x w to the latter's shape."""
        branch = cropped(self.branch(x), pooled_from)
        out: Tensor = self.act(unpooled(self.main(x), pooled_from) + branch)
        return out


def unpooled(x: Tensor, pooled_from: Tensor) -> Tensor:
    """Each value of `x` where the maximum of its 2x2 window of `pooled_from` is, zeros elsewhere.

    N x C x ceil(h/2) x ceil(w/2) and N x C x h x w to N x C x h x w; where a window has several equal maxima,
    all of them get the value.
    """
    maxima = doubled(F.max_pool2d(pooled_from, 2, ceil_mode=True), pooled_from)
    return doubled(x, pooled_from) * (pooled_from >= maxima).to(x.dtype)


def doubled(x: Tensor, like: Tensor) -> Tensor:
    """Each cell as 2 x 2 of its value, cropped to the grid of `like`."""
    return cropped(F.interpolate(x, scale_factor=2.0, mode="nearest").to(x.dtype), like)


class ENet(nn.Module):
    """ENet; `logits` have the images' own grid.

    Taps: `backbone` is the encoder's last map (1/8, 128 channels), `pyramid` the decoder's last (1/2, 16), which
    the last transposed convolution classifies. There is no auxiliary head.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.aux_head: nn.Module | None = None
        self.tap_channels = {"logits": classes, "backbone": 128, "pyramid": 16}
        self.initial = conv(3, 13, 3, stride=2, bias=True)
        self.initial_norm = norm(16, activation(16, encoder=True))
        self.down1 = Downsampling(16, 64, dropout=0.01)
        self.section1 = nn.Sequential(*(Bottleneck(64, dropout=0.01) for _ in range(4)))
        self.down2 = Downsampling(64, 128, dropout=0.1)
        self.section2 = nn.Sequential(*(Bottleneck(128, kind, dropout=0.1) for kind in CONTEXT))
        self.section3 = nn.Sequential(*(Bottleneck(128, kind, dropout=0.1) for kind in CONTEXT))
        self.up4 = Upsampling(128, 64)
        self.section4 = nn.Sequential(*(Bottleneck(64, encoder=False) for _ in range(2)))
        self.up5 = Upsampling(64, 16)
        self.section5 = Bottleneck(16, encoder=False)
        self.classify = nn.ConvTranspose2d(16, classes, 2, stride=2)
        initialise(self)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` N x classes x H x W and the taps."""
        entered_2 = self.initial(images_NCHW)
        images_2 = F.max_pool2d(images_NCHW, 2, ceil_mode=True).to(entered_2.dtype)
        first_2 = self.initial_norm(torch.cat([entered_2, images_2], dim=1))
        first_4 = self.section1(self.down1(first_2))
        backbone_8 = self.section3(self.section2(self.down2(first_4)))
        merged_4 = self.section4(self.up4(backbone_8, first_4))
        pyramid_2 = self.section5(self.up5(merged_4, first_2))
        logits = cropped(self.classify(pyramid_2), images_NCHW)
        return {"logits": logits, "backbone": backbone_8, "pyramid": pyramid_2}


def enet(classes: int) -> ENet:
    """ENet, which has one width."""
    return ENet(classes)

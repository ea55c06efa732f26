"""ERFNet (Romera et al. 2018): residual blocks of 3x1 and 1x3 convolutions, 2.06M parameters.

From the paper and the authors' PyTorch code: every convolution has a bias, batch norm eps 1e-3 and momentum 0.1,
ReLU, spatial dropout 0.03 at 1/4, 0.3 at 1/8 and none in the decoder. Deviations: the 1x1 classifier with which the
authors first train the encoder alone is the auxiliary head here, beside the decoder; poolings round up and
doublings are cropped, so that any size passes.

`_2`, `_4`, `_8` in a name say how much coarser than the images a map is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.nets.dilated import DilatedConv2d
from stages.nets.layers import conv, cropped, initialise

BN_EPS = 1e-3
RATES = (2, 4, 8, 16)
"""Dilations at 1/8, run through twice (table I)."""

VERTICAL, HORIZONTAL = (3, 1), (1, 3)


def factor(channels: int, kernel: tuple[int, int], dilation: int = 1) -> nn.Conv2d:
    """One of the two convolutions that stand for a 3x3."""
    if dilation > 1:
        return DilatedConv2d(channels, channels, dilation, bias=True, kernel=kernel)
    return nn.Conv2d(channels, channels, kernel, padding=(kernel[0] // 2, kernel[1] // 2))


def factorised(channels: int, dilation: int) -> nn.Sequential:
    """3x1, ReLU, 1x3, batch norm."""
    return nn.Sequential(
        factor(channels, VERTICAL, dilation),
        nn.ReLU(inplace=True),
        factor(channels, HORIZONTAL, dilation),
        nn.BatchNorm2d(channels, eps=BN_EPS),
    )


class NonBottleneck1D(nn.Module):
    """Two factorised 3x3 convolutions, the second dilated, beside the identity (figure 2c)."""

    def __init__(self, channels: int, dropout: float = 0.0, dilation: int = 1) -> None:
        super().__init__()
        self.first = factorised(channels, 1)
        self.second = factorised(channels, dilation)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to the same."""
        return F.relu(x + self.dropout(self.second(F.relu(self.first(x)))))


class Downsampler(nn.Module):
    """A 3x3 convolution of stride 2 beside a 2x2 max-pool, concatenated."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = conv(channels, out_channels - channels, 3, stride=2, bias=True)
        self.norm = nn.BatchNorm2d(out_channels, eps=BN_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x out_channels x ceil(h/2) x ceil(w/2)."""
        convolved = self.conv(x)
        pooled = F.max_pool2d(x, 2, ceil_mode=True).to(convolved.dtype)
        return F.relu(self.norm(torch.cat([convolved, pooled], dim=1)))


def upsampler(channels: int, out_channels: int) -> nn.Sequential:
    """Transposed 3x3 convolution that doubles the grid, batch norm, ReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(channels, out_channels, 3, stride=2, padding=1, output_padding=1),
        nn.BatchNorm2d(out_channels, eps=BN_EPS),
        nn.ReLU(inplace=True),
    )


class ERFNet(nn.Module):
    """ERFNet; `logits` have the images' own grid.

    Taps: `backbone` is the encoder's map (1/8, 128 channels), `pyramid` the decoder's last (1/2, 16), which the
    last transposed convolution classifies. The auxiliary head reads `backbone`.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.tap_channels = {"logits": classes, "backbone": 128, "pyramid": 16}
        self.down1 = Downsampler(3, 16)
        self.down2 = Downsampler(16, 64)
        self.encode4 = nn.Sequential(*(NonBottleneck1D(64, 0.03) for _ in range(5)))
        self.down3 = Downsampler(64, 128)
        self.encode8 = nn.Sequential(*(NonBottleneck1D(128, 0.3, rate) for rate in 2 * RATES))
        self.up4 = upsampler(128, 64)
        self.decode4 = nn.Sequential(NonBottleneck1D(64), NonBottleneck1D(64))
        self.up2 = upsampler(64, 16)
        self.decode2 = nn.Sequential(NonBottleneck1D(16), NonBottleneck1D(16))
        self.classify = nn.ConvTranspose2d(16, classes, 2, stride=2)
        self.aux_head: nn.Module | None = nn.Conv2d(128, classes, 1)
        initialise(self)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` N x classes x H x W and taps; `aux` too in training mode."""
        first_2 = self.down1(images_NCHW)
        first_4 = self.encode4(self.down2(first_2))
        backbone_8 = self.encode8(self.down3(first_4))
        decoded_4 = self.decode4(cropped(self.up4(backbone_8), first_4))
        pyramid_2 = self.decode2(cropped(self.up2(decoded_4), first_2))
        logits = cropped(self.classify(pyramid_2), images_NCHW)
        outputs = {"logits": logits, "backbone": backbone_8, "pyramid": pyramid_2}
        if self.training and self.aux_head is not None:
            outputs["aux"] = self.aux_head(backbone_8)
        return outputs


def erfnet(classes: int) -> ERFNet:
    """ERFNet, which has one width."""
    return ERFNet(classes)

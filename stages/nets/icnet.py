"""ICNet (Zhao et al. 2018): a cascade that reads the images at full, half and a quarter of their size.

As in the authors' Caffe model: the half-size branch is a PSPNet-50 up to the first block of its layer2, whose map
is halved once more for the rest of the network, so that both branches share one computation; the pyramid's four
averages are added, not concatenated; classes are scored at 1/4. The released model has half of every width
(`width = 0.5`). Batch norm eps 1e-5 and momentum 0.1 (Caffe's momentum is 0.05 in torch's terms). Deviations:
a bottleneck's stride is in its 3x3 and not its first 1x1; of the two auxiliary losses (weights 0.4 at 1/8 and 0.16 at
1/16) the one at 1/8 is kept.

`_4` to `_32` in a name say how much coarser than the images a map is.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from stages.nets.layers import conv_bn, conv_bn_relu, initialise, resized
from stages.nets.pyramid import pool
from stages.nets.resnet import ResNet

BINS = (1, 2, 3, 6)


def halved(x_NChw: Tensor) -> Tensor:
    """Bilinearly to half of the height and width, rounded up; corners stay where they are."""
    size = ((x_NChw.shape[-2] + 1) // 2, (x_NChw.shape[-1] + 1) // 2)
    return F.interpolate(x_NChw, size=size, mode="bilinear", align_corners=True).to(x_NChw.dtype)


def with_averages(x_NChw: Tensor) -> Tensor:
    """The map plus its averages over 1, 4, 9 and 36 regions, resized to its grid."""
    dense = x_NChw.contiguous()
    for bins in BINS:
        x_NChw = x_NChw + resized(pool(dense, bins), dense)
    return x_NChw


class CascadeFusion(nn.Module):
    """A coarse map doubled and refined by a dilated 3x3 convolution, plus a projected finer one (section 3.3)."""

    def __init__(self, coarse_channels: int, fine_channels: int, out_channels: int) -> None:
        super().__init__()
        self.coarse = conv_bn(coarse_channels, out_channels, 3, dilation=2)
        self.fine = conv_bn(fine_channels, out_channels, 1)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Both maps to N x out_channels on the finer one's grid."""
        return F.relu(self.coarse(resized(coarse, fine)) + self.fine(fine))


class ICNet(nn.Module):
    """Shared backbone for half and quarter size, three convolutions for full size, two fusions, classifier.

    Taps: `backbone` is layer4's map (1/32), `pyramid` the last fusion's (1/8), doubled before it is classified, so
    that `logits` lie at 1/4. The auxiliary head scores the first fusion's map (1/16) on the grid of 1/8.
    """

    def __init__(self, backbone: ResNet, channels: int, stem_channels: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        first, second, third = stem_channels
        context_channels = backbone.channels // 4
        self.backbone = backbone
        self.reduce = conv_bn_relu(backbone.channels, context_channels, 1)
        self.full = nn.Sequential(
            conv_bn_relu(3, first, 3, stride=2),
            conv_bn_relu(first, second, 3, stride=2),
            conv_bn_relu(second, third, 3, stride=2),
        )
        self.fuse16 = CascadeFusion(context_channels, backbone.middle_channels // 2, channels)
        self.fuse8 = CascadeFusion(channels, third, channels)
        self.head = nn.Conv2d(channels, classes, 1)
        self.aux_head: nn.Module | None = nn.Conv2d(channels, classes, 1)
        self.tap_channels = {"logits": classes, "backbone": backbone.channels, "pyramid": channels}
        parts: tuple[nn.Module, ...] = (self.reduce, self.full, self.fuse16, self.fuse8, self.head, self.aux_head)
        for part in parts:
            initialise(part)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` and taps, each N x C x h x w; `aux` too in training mode."""
        shared_16, backbone_32 = self._half_size(halved(images_NCHW))
        context_32 = self.reduce(with_averages(backbone_32))
        full_8 = self.full(images_NCHW)
        fused_16 = self.fuse16(context_32, shared_16)
        pyramid_8 = self.fuse8(fused_16, full_8)
        logits_4 = self.head(doubled(pyramid_8))
        outputs = {"logits": logits_4, "backbone": backbone_32, "pyramid": pyramid_8}
        if self.training and self.aux_head is not None:
            outputs["aux"] = self.aux_head(resized(fused_16, full_8))
        return outputs

    def _half_size(self, images_2: Tensor) -> tuple[Tensor, Tensor]:
        """Half-size images to the first map of layer2 (1/16) and, halved after it, the map of layer4 (1/32)."""
        net = self.backbone
        shared_16 = net.layer2[0](net.layer1(net.stem(images_2)))
        return shared_16, net.layer4(net.layer3(net.layer2[1:](halved(shared_16))))


def doubled(x_NChw: Tensor) -> Tensor:
    """Bilinearly to twice the height and width; corners stay where they are."""
    size = (2 * x_NChw.shape[-2], 2 * x_NChw.shape[-1])
    return F.interpolate(x_NChw, size=size, mode="bilinear", align_corners=True).to(x_NChw.dtype)


def icnet_resnet(classes: int, depth: int, width: float = 1.0) -> ICNet:
    """ICNet-R`depth`; `width` scales the backbone, as the authors' compression does, and not the light parts."""
    backbone = ResNet(depth, width)
    return ICNet(backbone, 128, (32, 32, 64), classes)

"""OCRNet (Yuan et al. 2020) over a dilated ResNet: pixels read the classes' mean features ("object regions").

As in the authors' code: 512 channels, keys of 256, dropout 0.05, biases before the batch norms (eps 1e-5, momentum
0.1), ReLU. The first classifier, on layer3, is trained as an auxiliary head and is part of the network as well,
for its scores weigh the regions. So `aux_head` holds no parameters: setting it to None only stops the output.
"""

import torch
from torch import Tensor, nn

from stages.nets.attention import as_map, attend, cells
from stages.nets.layers import conv_bn_relu, initialise, scaled
from stages.nets.resnet import ResNet


def region_features(scores_NKhw: Tensor, features_NChw: Tensor) -> Tensor:
    """N x C x K x 1: mean feature of each class, cells weighted by the softmax of its scores (eq. 2)."""
    weights_NKL = torch.softmax(scores_NKhw.flatten(2), dim=-1).to(features_NChw.dtype)
    regions_NKC = weights_NKL @ cells(features_NChw)
    return regions_NKC.transpose(1, 2).unsqueeze(3)


class ObjectAttention(nn.Module):
    """Each cell as a mean of the regions' features, weighted by likeness (eqs. 3 and 4)."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.pixel = self._transform(channels, key_channels)
        self.region = self._transform(channels, key_channels)
        self.value = conv_bn_relu(channels, key_channels, 1, bias=True)
        self.out = conv_bn_relu(key_channels, channels, 1, bias=True)

    @staticmethod
    def _transform(channels: int, key_channels: int) -> nn.Sequential:
        return nn.Sequential(
            conv_bn_relu(channels, key_channels, 1, bias=True), conv_bn_relu(key_channels, key_channels, 1, bias=True)
        )

    def forward(self, features: Tensor, regions: Tensor) -> Tensor:
        """N x C x h x w features and N x C x K x 1 regions to N x C x h x w."""
        attended = attend(cells(self.pixel(features)), cells(self.region(regions)), cells(self.value(regions)))
        out: Tensor = self.out(as_map(attended, features))
        return out


class OCRNet(nn.Module):
    """Backbone, region classifier, object attention, classifier.

    Taps at 1/8: `backbone` is layer4's map, `pyramid` the map of pixels beside their regions, which the
    classifier reads. `aux` are the region classifier's scores.
    """

    def __init__(self, backbone: ResNet, channels: int, key_channels: int, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.regions = nn.Sequential(
            conv_bn_relu(backbone.middle_channels, channels, 3, bias=True),
            nn.Dropout2d(0.05),
            nn.Conv2d(channels, classes, 1),
        )
        self.reduce = conv_bn_relu(backbone.channels, channels, 3, bias=True)
        self.attention = ObjectAttention(channels, key_channels)
        self.fuse = nn.Sequential(conv_bn_relu(2 * channels, channels, 1, bias=True), nn.Dropout2d(0.05))
        self.head = nn.Conv2d(channels, classes, 1)
        self.aux_head: nn.Module | None = nn.Identity()
        self.tap_channels = {"logits": classes, "backbone": backbone.channels, "pyramid": channels}
        for part in (self.regions, self.reduce, self.attention, self.fuse, self.head):
            initialise(part)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` and taps, each N x C x h x w; `aux` too in training mode."""
        middle, last = self.backbone(images_NCHW)
        scores = self.regions(middle)
        features = self.reduce(last)
        context = self.attention(features, region_features(scores, features))
        pyramid = self.fuse(torch.cat([context, features], dim=1))
        outputs = {"logits": self.head(pyramid), "backbone": last, "pyramid": pyramid}
        if self.training and self.aux_head is not None:
            outputs["aux"] = self.aux_head(scores)
        return outputs


def ocrnet_resnet(classes: int, depth: int, width: float = 1.0) -> OCRNet:
    """OCRNet-R`depth`."""
    return OCRNet(ResNet(depth, width), scaled(512, width), scaled(256, width), classes)

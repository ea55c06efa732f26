"""FCN-8s (Long et al. 2015) over VGG-16 (Simonyan and Zisserman 2015), 134.5M parameters.

As in the authors' Caffe model: the images are padded by 100 on each side, so that the 7x7 convolution, which has no
padding of its own, finds a grid at any size; poolings round up; there is no batch norm; enlargements of scores start
bilinear and learn; scores are cropped to each other by fixed offsets. Deviations: the scores' 1x1 convolutions
start as the others do and not at 0, and the last enlargement learns as well.

`_8`, `_16`, `_32` in a name say how much coarser than the images a map is.
"""

import torch
from torch import Tensor, nn

from stages.nets.layers import initialise, scaled

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of the 3x3 convolutions before each pooling: Simonyan and Zisserman 2015, table 1, column D."""

POOL3, POOL4 = 17, 24
"""Layers up to and with the pooling after the third and the fourth stage."""

FULLY_CONNECTED = 4096
PADDING = 100
CROP_16, CROP_8, CROP_1 = 5, 9, 31
"""Cells of the finer map before the first that the enlarged coarser one covers."""


class VGG16(nn.Module):
    """The convolutions of VGG-16, the first padded by 100; keys are torchvision's."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.channels: list[int] = []
        channels = 3
        for planes, convolutions in STAGES:
            for _ in range(convolutions):
                out_channels = scaled(planes, width)
                padding = 1 if layers else PADDING
                layers += [nn.Conv2d(channels, out_channels, 3, padding=padding), nn.ReLU(inplace=True)]
                channels = out_channels
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            self.channels.append(channels)
        self.features = nn.Sequential(*layers)

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised float images to the maps after the third, fourth and fifth pooling."""
        map_8 = self.features[:POOL3](images_NCHW)
        map_16 = self.features[POOL3:POOL4](map_8)
        return map_8, map_16, self.features[POOL4:](map_16)


def bilinear(factor: int) -> Tensor:
    """Kernel, 2 factor x 2 factor, by which a transposed convolution of stride `factor` interpolates bilinearly."""
    ramp = 1 - (torch.arange(2 * factor) + 0.5 - factor).abs() / factor
    return ramp[:, None] * ramp[None, :]


def enlarge(classes: int, factor: int) -> nn.ConvTranspose2d:
    """Transposed convolution that starts as bilinear interpolation, class by class."""
    module = nn.ConvTranspose2d(classes, classes, 2 * factor, stride=factor, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.eye(classes)[:, :, None, None] * bilinear(factor))
    return module


def at(x: Tensor, offset: int, like: Tensor) -> Tensor:
    """The part of `x` that starts at `offset` and has the height and width of `like`."""
    return x[..., offset : offset + like.shape[-2], offset : offset + like.shape[-1]]


class FCN8s(nn.Module):
    """VGG-16 made convolutional, its scores joined by those of pool4 and pool3; `logits` have the images' own grid.

    Taps at 1/32 of the padded images: `backbone` is pool5's map, `pyramid` the second 4096-wide map, which the
    main classifier reads (6 cells fewer an axis). There is no auxiliary head.
    """

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__()
        self.backbone = VGG16(width)
        _, _, c8, c16, c32 = self.backbone.channels
        hidden = scaled(FULLY_CONNECTED, width)
        self.aux_head: nn.Module | None = None
        self.tap_channels = {"logits": classes, "backbone": c32, "pyramid": hidden}
        self.fully_connected = nn.Sequential(
            nn.Conv2d(c32, hidden, 7),
            nn.ReLU(inplace=True),
            nn.Dropout2d(0.5),
            nn.Conv2d(hidden, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Dropout2d(0.5),
        )
        self.score_32 = nn.Conv2d(hidden, classes, 1)
        self.score_16 = nn.Conv2d(c16, classes, 1)
        self.score_8 = nn.Conv2d(c8, classes, 1)
        initialise(self)
        self.enlarge_32, self.enlarge_16 = enlarge(classes, 2), enlarge(classes, 2)
        self.enlarge_8 = enlarge(classes, 8)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` N x classes x H x W and the taps."""
        map_8, map_16, backbone = self.backbone(images_NCHW)
        pyramid = self.fully_connected(backbone)
        scores_16 = self.enlarge_32(self.score_32(pyramid))
        scores_16 = scores_16 + at(self.score_16(map_16), CROP_16, scores_16)
        scores_8 = self.enlarge_16(scores_16)
        scores_8 = scores_8 + at(self.score_8(map_8), CROP_8, scores_8)
        logits = at(self.enlarge_8(scores_8), CROP_1, images_NCHW)
        return {"logits": logits, "backbone": backbone, "pyramid": pyramid}


def fcn_vgg16(classes: int, width: float = 1.0) -> FCN8s:
    """FCN-8s, every width but the scores' scaled by `width`."""
    return FCN8s(classes, width)

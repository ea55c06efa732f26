"""Backbone, context module, 1x1 classifier: the form that PSPNet, DeepLabV3, OCNet and others share."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn


class Backbone(Protocol):
    """What a segmenter asks of a backbone; it is an `nn.Module` as well."""

    channels: int
    """Channels of the last map."""
    middle_channels: int
    """Channels of the map that the auxiliary head reads."""

    def __call__(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Images to (middle map, last map), both at 1/8 of the images' height and width."""


def auxiliary_head(channels: int, classes: int) -> nn.Sequential:
    """Training-only classifier of the backbone's middle map (Zhao et al. 2017, section 3.3).

    Halved width, bias before the batch norm and LeakyReLU 0.01 are those of Liu et al. 2019.
    """
    hidden = channels // 2
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 3, padding=1),
        nn.BatchNorm2d(hidden),
        nn.LeakyReLU(0.01, inplace=True),
        nn.Dropout2d(0.1),
        nn.Conv2d(hidden, classes, 1),
    )


class Segmenter(nn.Module):
    """Backbone of output stride 8, context module, 1x1 classifier; an auxiliary head while it trains.

    Taps, all at the backbone's 1/8 grid: `backbone` is its last map, `pyramid` the context module's map, which
    the classifier reads. Setting `aux_head = None` drops the auxiliary head; so the network ships.
    """

    def __init__(
        self,
        backbone: Backbone,
        pyramid: nn.Module,
        pyramid_channels: int,
        classes: int,
        aux: Callable[[int, int], nn.Module] | None = auxiliary_head,
    ) -> None:
        """`aux` builds the auxiliary head from the channels of the middle map and the number of classes."""
        super().__init__()
        self.backbone = backbone
        self.pyramid = pyramid
        self.head = nn.Conv2d(pyramid_channels, classes, 1)
        self.aux_head = aux(backbone.middle_channels, classes) if aux else None
        self.tap_channels = {"logits": classes, "backbone": backbone.channels, "pyramid": pyramid_channels}

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` and taps, each N x C x h x w; `aux` too in training mode."""
        middle, features = self.backbone(images_NCHW)
        pyramid = self.pyramid(features)
        outputs = {"logits": self.head(pyramid), "backbone": features, "pyramid": pyramid}
        if self.training and self.aux_head is not None:
            outputs["aux"] = self.aux_head(middle)
        return outputs

"""Pieces that several networks share."""

from torch import nn

from pipeline.errors import NetworkError


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded to a multiple of 8, never more than 10 % below the exact product.

    The rule of MobileNetV2 (Sandler et al. 2018), for every network here. NetworkError unless width > 0.
    """
    if width <= 0:
        raise NetworkError(f"width is {width}; give a factor above 0, e.g. 0.5")
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * exact else rounded + 8


def initialise(network: nn.Module) -> None:
    """Draw convolutions, which have no bias, from N(0, 2 / fan-out) (He et al. 2015), as torchvision does."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

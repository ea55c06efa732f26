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
    """Draw convolutions from N(0, 2 / fan-out) (He et al. 2015); biases are 0, batch norms the identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def classifier(channels: int, classes: int) -> nn.Conv2d:
    """1x1 convolution to class logits, from N(0, 0.01^2): training starts from almost equal probabilities."""
    layer = nn.Conv2d(channels, classes, 1)
    nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer

"""Pieces that several networks share."""

from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import NetworkError
from stages.nets.dilated import DilatedConv2d


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
    """Draw the weights of convolutions from N(0, 2 / fan-out) (He et al. 2015), as torchvision does.

    Biases stay as torch draws them.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def conv(
    channels: int,
    out_channels: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """Convolution of odd kernel that keeps the grid at stride 1; a dilated one is 3x3."""
    if dilation > 1:
        assert stride == 1 and kernel == 3
        return DilatedConv2d(channels, out_channels, dilation, groups, bias)
    return nn.Conv2d(channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=bias)


def conv_bn(
    channels: int,
    out_channels: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
    act: nn.Module | None = None,
) -> nn.Sequential:
    """`conv`, batch norm (torch's eps 1e-5 and momentum 0.1) and, where given, an activation."""
    layers = [conv(channels, out_channels, kernel, stride, dilation, groups, bias), nn.BatchNorm2d(out_channels)]
    return nn.Sequential(*layers, *([] if act is None else [act]))


def conv_bn_relu(
    channels: int, out_channels: int, kernel: int, stride: int = 1, dilation: int = 1, bias: bool = False
) -> nn.Sequential:
    """`conv_bn` that ends in a ReLU."""
    return conv_bn(channels, out_channels, kernel, stride, dilation, bias=bias, act=nn.ReLU(inplace=True))


def resized(x_NChw: Tensor, like: Tensor, align_corners: bool = True) -> Tensor:
    """`x` resized bilinearly to the height and width of `like`; in its own dtype, which autocast would widen."""
    if x_NChw.shape[-2:] == like.shape[-2:]:
        return x_NChw
    size = like.shape[-2:]
    return F.interpolate(x_NChw, size=size, mode="bilinear", align_corners=align_corners).to(x_NChw.dtype)


def cropped(x: Tensor, like: Tensor) -> Tensor:
    """`x` without the last rows and columns that `like` has not: what a doubling adds to an odd grid."""
    return x if x.shape[-2:] == like.shape[-2:] else x[..., : like.shape[-2], : like.shape[-1]]


def global_average(x_NChw: Tensor) -> Tensor:
    """N x C x 1 x 1 mean over the cells, in the dtype of `x`."""
    return x_NChw.mean(dim=(2, 3), keepdim=True).to(x_NChw.dtype)


def require_two_images(x_NChw: Tensor, module: nn.Module) -> None:
    """NetworkError where `module`, which normalises one cell per image, trains on a single image."""
    if module.training and x_NChw.shape[0] < 2:
        raise NetworkError(
            f"{type(module).__name__} normalises one cell per image, and one has no variance; "
            "train with at least 2 images per process"
        )

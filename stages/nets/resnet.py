"""ResNet (He et al. 2016) with a stem of three 3x3 convolutions and dilated last stages: output stride 8.

Keys from `layer1` on are torchvision's. The stem is not torchvision's: its `conv1` is 3x3 and `layer1` reads
twice as many channels. Batch norms have momentum 0.1 and eps 1e-5, as in torchvision and in the public code of
Liu et al. 2019.

The paper's teacher (101) and student (18) start from ImageNet, its student at half width from scratch.
"""

from torch import Tensor, nn

from stages.nets.dilated import DilatedConv2d
from stages.nets.layers import initialise, scaled


def conv3x3(channels: int, out_channels: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """3x3 convolution without bias that keeps the grid at stride 1."""
    if dilation > 1:
        assert stride == 1
        return DilatedConv2d(channels, out_channels, dilation)
    return nn.Conv2d(channels, out_channels, 3, stride, padding=1, bias=False)


def shortcut(channels: int, out_channels: int, stride: int) -> nn.Module:
    """Identity where the block keeps shape, else a 1x1 projection."""
    if stride == 1 and channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, both dilated, beside a shortcut."""

    expansion = 1

    def __init__(self, channels: int, planes: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, planes, stride, dilation)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes, 1, dilation)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(channels, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x planes x h/stride x w/stride."""
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.bn2(self.conv2(residual))
        out: Tensor = self.relu(residual + self.downsample(x))
        return out


class Bottleneck(nn.Module):
    """1x1, dilated 3x3 (which has the stride), 1x1 to four times the planes, beside a shortcut."""

    expansion = 4

    def __init__(self, channels: int, planes: int, stride: int, dilation: int) -> None:
        super().__init__()
        out_channels = planes * self.expansion
        self.conv1 = nn.Conv2d(channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes, stride, dilation)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x h x w to N x 4 planes x h/stride x w/stride."""
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        out: Tensor = self.relu(residual + self.downsample(x))
        return out


Block = type[BasicBlock] | type[Bottleneck]

LAYOUTS: dict[int, tuple[Block, tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}
"""Depth to (block, blocks in each stage): He et al. 2016, table 1."""


def stage(block: Block, blocks: int, channels: int, planes: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """`blocks` blocks of one width; the first has the stride, and all of them the dilation."""
    out_channels = planes * block.expansion
    return nn.Sequential(
        block(channels, planes, stride, dilation),
        *(block(out_channels, planes, 1, dilation) for _ in range(blocks - 1)),
    )


class ResNet(nn.Module):
    """Deep-stem ResNet whose layer3 and layer4 dilate by 2 and 4 instead of striding."""

    def __init__(self, depth: int, width: float = 1.0) -> None:
        super().__init__()
        block, blocks = LAYOUTS[depth]
        stem, w1, w2, w3, w4 = (scaled(channels, width) for channels in (64, 64, 128, 256, 512))
        self.conv1 = conv3x3(3, stem, stride=2)
        self.bn1 = nn.BatchNorm2d(stem)
        self.conv2 = conv3x3(stem, stem)
        self.bn2 = nn.BatchNorm2d(stem)
        self.conv3 = conv3x3(stem, 2 * stem)
        self.bn3 = nn.BatchNorm2d(2 * stem)
        self.relu = nn.ReLU(inplace=True)
        # ceil_mode gives 65 x 129 cells at 512 x 1024, the grid of the published multiply-accumulates.
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.layer1 = stage(block, blocks[0], 2 * stem, w1)
        self.layer2 = stage(block, blocks[1], w1 * block.expansion, w2, stride=2)
        self.layer3 = stage(block, blocks[2], w2 * block.expansion, w3, dilation=2)
        self.layer4 = stage(block, blocks[3], w3 * block.expansion, w4, dilation=4)
        self.middle_channels = w3 * block.expansion
        self.channels = w4 * block.expansion
        initialise(self)

    def stem(self, images_NCHW: Tensor) -> Tensor:
        """Normalised float images to the map that layer1 reads, at 1/4."""
        x = self.relu(self.bn1(self.conv1(images_NCHW)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.relu(self.bn3(self.conv3(x)))
        pooled: Tensor = self.maxpool(x)
        return pooled

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised float images to the maps of layer3 and layer4, both at 1/8."""
        x = self.layer2(self.layer1(self.stem(images_NCHW)))
        middle = self.layer3(x)
        return middle, self.layer4(middle)

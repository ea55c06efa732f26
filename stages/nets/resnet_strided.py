"""ResNet (He et al. 2016) as it classifies: 7x7 stem, a stride in each stage, output stride 32.

Keys, shapes and values are torchvision's, so that its ImageNet weights fit whole.
"""

from torch import Tensor, nn

from stages.nets.layers import initialise, scaled
from stages.nets.resnet import LAYOUTS, stage


class StridedResNet(nn.Module):
    """ResNet without average pool and classifier; `channels` are those of its four maps."""

    def __init__(self, depth: int, width: float = 1.0) -> None:
        super().__init__()
        block, blocks = LAYOUTS[depth]
        stem, *planes = (scaled(channels, width) for channels in (64, 64, 128, 256, 512))
        self.channels = tuple(each * block.expansion for each in planes)
        self.conv1 = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = stage(block, blocks[0], stem, planes[0])
        self.layer2 = stage(block, blocks[1], self.channels[0], planes[1], stride=2)
        self.layer3 = stage(block, blocks[2], self.channels[1], planes[2], stride=2)
        self.layer4 = stage(block, blocks[3], self.channels[2], planes[3], stride=2)
        initialise(self)

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Normalised float images to the maps at 1/4, 1/8, 1/16 and 1/32."""
        map_4 = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(images_NCHW)))))
        map_8 = self.layer2(map_4)
        map_16 = self.layer3(map_8)
        return map_4, map_8, map_16, self.layer4(map_16)

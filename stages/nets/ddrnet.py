"""DDRNet-23-slim (Hong et al. 2021): a branch at 1/8 and one down to 1/64 that exchange maps twice, 5.7M parameters.

As in the authors' code: convolutions of the stem and last ones of the heads have a bias; batch norm eps 1e-5 and
momentum 0.1; bilinear resizing without aligned corners. Deviation: maps are resized to each other's grid, not to
an eighth of the images rounded down, so that any size passes.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from stages.nets.layers import conv_bn, conv_bn_relu, initialise, resized, scaled
from stages.nets.pooling_context import DeepAggregation
from stages.nets.preactivated import Bottleneck, basics, head, quarter


class DDRNet(nn.Module):
    """`fine` stays at 1/8, `coarse` goes on to 1/64; their sum is classified at 1/8.

    Taps at 1/8: `backbone` is the fine branch's last map, `pyramid` its sum with the context of the coarse one,
    which the classifier reads. The auxiliary head reads the fine map after the first exchange.
    """

    def __init__(self, channels: int, pool_channels: int, head_channels: int, classes: int) -> None:
        super().__init__()
        c1, c2, c4, c8 = (factor * channels for factor in (1, 2, 4, 8))
        self.stem = quarter(c1)
        self.layer1 = basics(2, c1, c1)
        self.layer2 = basics(2, c1, c2, stride=2)
        self.coarse3, self.fine3 = basics(2, c2, c4, stride=2), basics(2, c2, c2)
        self.down3, self.up3 = conv_bn(c2, c4, 3, stride=2), conv_bn(c4, c2, 1)
        self.coarse4, self.fine4 = basics(2, c4, c8, stride=2), basics(2, c2, c2)
        self.down4 = nn.Sequential(conv_bn_relu(c2, c4, 3, stride=2), conv_bn(c4, c8, 3, stride=2))
        self.up4 = conv_bn(c8, c2, 1)
        self.coarse5, self.fine5 = Bottleneck(c8, c8, stride=2), Bottleneck(c2, c2)
        self.context = DeepAggregation(2 * c8, pool_channels, c4)
        self.head = head(c4, head_channels, classes)
        self.aux_head: nn.Module | None = head(c2, head_channels, classes)
        self.tap_channels = {"logits": classes, "backbone": c4, "pyramid": c4}
        initialise(self)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` and taps, each N x C x h x w; `aux` too in training mode."""
        shared = F.relu(self.layer2(F.relu(self.layer1(self.stem(images_NCHW)))))
        coarse, fine = self.coarse3(shared), self.fine3(shared)
        coarse, exchanged = self._exchange(coarse, fine, self.down3, self.up3)
        coarse, fine = self.coarse4(F.relu(coarse)), self.fine4(F.relu(exchanged))
        coarse, fine = self._exchange(coarse, fine, self.down4, self.up4)
        backbone = self.fine5(F.relu(fine))
        context = self.context(self.coarse5(F.relu(coarse)))
        pyramid = backbone + resized(context, backbone, align_corners=False)
        outputs = {"logits": self.head(pyramid), "backbone": backbone, "pyramid": pyramid}
        if self.training and self.aux_head is not None:
            outputs["aux"] = self.aux_head(exchanged)
        return outputs

    @staticmethod
    def _exchange(coarse: Tensor, fine: Tensor, down: nn.Module, up: nn.Module) -> tuple[Tensor, Tensor]:
        """Each branch plus the other, brought to its grid and channels."""
        raised = resized(up(F.relu(coarse)), fine, align_corners=False)
        return coarse + down(F.relu(fine)), fine + raised


def ddrnet_23_slim(classes: int, width: float = 1.0) -> DDRNet:
    """DDRNet-23-slim: 32 channels at 1/4; every width scaled by `width`."""
    return DDRNet(scaled(32, width), scaled(128, width), scaled(64, width), classes)

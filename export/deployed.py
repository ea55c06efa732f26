"""The network as it ships: from decoded pictures to class ids or logits, in one module."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.forms import Output
from stages.nets.catalogue import NetSpec
from stages.nets.normalise import Normalise


class Deployed(nn.Module):
    """Normalisation, network, upsampling and, for `labels`, the decision; in eval mode, without an aux head.

    forward: uint8 N x H x W x 3 RGB -> `labels`: uint8 N x H x W class ids; `logits`: float32 N x C x H x W.
    The network's logits are resized to H x W bilinearly with aligned corners, as training and evaluation do.
    """

    def __init__(self, net: nn.Module, spec: NetSpec, output: Output) -> None:
        super().__init__()
        net.aux_head = None  # type: ignore[assignment]
        self.normalise = Normalise(spec.mean, spec.std)
        self.net = net
        self.output = output
        self.eval()

    def forward(self, images_NHWC: Tensor) -> Tensor:
        """uint8 N x H x W x 3 to float32 logits N x C x H x W, or to uint8 class ids N x H x W, as `output` says."""
        logits_NChw = self.net(self.normalise(images_NHWC))["logits"]
        logits_NCHW = upsample(logits_NChw, (images_NHWC.shape[1], images_NHWC.shape[2]))
        if self.output == "logits":
            return logits_NCHW
        return logits_NCHW.argmax(dim=1).to(torch.uint8)


def upsample(logits_NChw: Tensor, size_px: tuple[int, int]) -> Tensor:
    """Logits on the grid of the picture; as they are where the network already ends there."""
    if logits_NChw.shape[-2:] == size_px:
        return logits_NChw
    return F.interpolate(logits_NChw, size=size_px, mode="bilinear", align_corners=True)

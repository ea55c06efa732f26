"""From decoded pictures to what a network reads."""

import torch
from torch import Tensor, nn

from stages.nets.catalogue import Triple


class Normalise(nn.Module):
    """(rgb / 255 - mean) / std; `mean` and `std` are on the 0..1 scale. Its state dict is empty."""

    scale: Tensor
    offset: Tensor

    def __init__(self, mean: Triple, std: Triple) -> None:
        super().__init__()
        scale = 1 / (255 * torch.tensor(std, dtype=torch.float64))
        offset = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
        self.register_buffer("scale", scale.float().view(1, 3, 1, 1), persistent=False)
        self.register_buffer("offset", offset.float().view(1, 3, 1, 1), persistent=False)

    def forward(self, images_NHWC: Tensor) -> Tensor:
        """uint8 N x H x W x 3 RGB to float32 N x 3 x H x W, whose strides are those of channels_last."""
        # The cast goes first: TensorRT transposes no UINT8.
        images_NCHW = images_NHWC.to(torch.float32).permute(0, 3, 1, 2)
        return images_NCHW * self.scale + self.offset

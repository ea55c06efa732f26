"""Discriminator of the holistic term: a self-attention GAN's on raw logits (Zhang et al. 2019; Liu et al. 2019)."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SMALLEST_PX = 64
"""Shortest side of a map that leaves the last convolution a cell."""
SLOPE = 0.1


class SelfAttention(nn.Module):
    """Adds to every cell a mixture of all cells, by a learnt factor that starts at 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Same shape. The attention is not scaled, as in the source."""
        query_Ndp, key_Ndp, value_NCp = (part(x_NChw).flatten(2) for part in (self.query, self.key, self.value))
        attention_Npp = (query_Ndp.transpose(1, 2) @ key_Ndp).softmax(dim=-1)
        mixed_NCp = value_NCp @ attention_Npp.transpose(1, 2)
        return x_NChw + self.gamma * mixed_NCp.view_as(x_NChw)


def halving(channels: int, out_channels: int) -> nn.Sequential:
    """Spectrally normalised 4x4 convolution that halves the grid."""
    return nn.Sequential(spectral_norm(nn.Conv2d(channels, out_channels, 4, 2, 1)), nn.LeakyReLU(SLOPE))


class Discriminator(nn.Module):
    """Scores logit maps; at 65x65 the last convolution has one cell, at larger ones its cells are averaged."""

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(classes),
            halving(classes, width),
            halving(width, 2 * width),
            halving(2 * width, 4 * width),
            SelfAttention(4 * width),
            halving(4 * width, 8 * width),
            SelfAttention(8 * width),
            nn.Conv2d(8 * width, 1, 4),
        )

    def forward(self, logits_NChw: Tensor) -> Tensor:
        """Logits N x classes x h x w, both sides at least `SMALLEST_PX`, to one score an image: N."""
        scores_N1hw: Tensor = self.layers(logits_NChw)
        return scores_N1hw.mean(dim=(1, 2, 3))

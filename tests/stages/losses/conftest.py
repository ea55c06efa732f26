"""Seeded float64 tensors, in which a loss must equal its formula to 1e-9."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor


@pytest.fixture
def randn() -> Callable[..., Tensor]:
    """`randn(n, c, h, w)`: normal values, other ones at each call."""
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def random_labels() -> Callable[..., Tensor]:
    """`random_labels(classes, n, h, w)`: uint8 ids, about a fifth of them 255."""
    generator = torch.Generator().manual_seed(1)

    def labels(classes: int, *shape: int) -> Tensor:
        ids = torch.randint(0, classes, shape, generator=generator)
        return ids.masked_fill(torch.rand(shape, generator=generator) < 0.2, 255).to(torch.uint8)

    return labels

"""What the terms do to a map before they compare it: its precision and its grid."""

import torch
from torch import Tensor
from torch.nn import functional as F


def at_least_fp32(values: Tensor) -> Tensor:
    """bf16 and fp16 become float32, for sums and norms that would overflow or lose digits; float64 stays."""
    return values if values.itemsize >= 4 else values.float()


def no_autocast(values: Tensor) -> torch.autocast:
    """Context in which matrix products keep the precision of their operands on the device of `values`."""
    return torch.autocast(values.device.type, enabled=False)


def resize(map_NChw: Tensor, size_hw: tuple[int, ...]) -> Tensor:
    """Bilinear, corners aligned; the map itself where it has that size."""
    if map_NChw.shape[-2:] == size_hw:
        return map_NChw
    return F.interpolate(map_NChw, size=size_hw, mode="bilinear", align_corners=True)

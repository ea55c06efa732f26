"""A teacher as the student's training calls it: often, always frozen, never looked into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from stages.nets.catalogue import NetSpec
from stages.nets.fold import fold_batch_norms
from stages.nets.normalise import Normalise
from stages.nets.shapes import MapShape, map_shapes
from stages.training.compiled import Call, compiled

HALF = {"bf16-mixed": torch.bfloat16, "fp16-mixed": torch.float16}
CAST = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)
"""What autocast computes in half precision by the weights that it casts in every call."""


class FrozenTeacher:
    """Calls a network in eval mode without gradients; not a module, so that no checkpoint carries it along.

    Two things make the call cheaper than that of the same network under autocast, with no effect beyond rounding:
    batch norms are folded into their convolutions (a relative 3e-6 of the maps in fp32, PSPNet-R101), and the
    convolutions' weights are cast to the autocast's dtype once instead of in every call, which changes no bit.

    Autocast itself is noise: on PSPNet-R18 at a quarter of its width the maps in bf16 differ from those in fp32 by 2 %
    (RMS), folded or not, and IDD's terms by 1.6 % of their value at most. That is what the student's own forward in
    bf16 adds to them as well, and 20 times less than one picture's maps differ from another's. Who wants none of it
    asks for precision fp32.

    `no_grad`, not `inference_mode`: autograd saves the teacher's maps for the student's backward, which it refuses to
    do with an inference tensor; and nothing is gained, since what it spares is some microseconds an operator.
    """

    def __init__(
        self,
        net: nn.Module,
        spec: NetSpec,
        crop_px: tuple[int, int],
        precision: str,
        autocast: Callable[[], AbstractContextManager[object]],
        compile: bool = False,
    ) -> None:
        """`net` is on its device, and is changed. `precision` is a config's, resolved."""
        self.net = net.eval().requires_grad_(False)
        self.device = next(net.parameters()).device
        self.normalise = Normalise(spec.mean, spec.std).to(self.device)
        self.autocast = autocast
        self.shapes: Mapping[str, MapShape] = map_shapes(net, crop_px)
        """Those of a crop's maps."""
        self.folded = fold_batch_norms(net, crop_px)
        if precision in HALF:
            cast_weights(net, HALF[precision])
        self.call: Call = compiled(net) if compile else net

    @torch.no_grad()
    def __call__(self, images_NHWC: Tensor) -> dict[str, Tensor]:
        """Images N x H x W x 3 uint8 RGB to the teacher's maps."""
        with self.autocast():
            return self.call(self.normalise(images_NHWC))


def cast_weights(net: nn.Module, dtype: torch.dtype) -> None:
    """Weights and biases of convolutions and linear layers in the dtype in which autocast computes them."""
    for module in net.modules():
        if isinstance(module, CAST):
            module.to(dtype)

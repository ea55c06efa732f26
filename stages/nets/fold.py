"""Batch norm folded into the convolution before it, for a network that is never trained again."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-4
"""Largest change of a map, as a share of its root mean square; rounding in fp32 gives some 1e-6."""

Replaced = dict[str, nn.Module]
"""Modules by path that others took the place of."""


@torch.no_grad()
def fold_batch_norms(net: nn.Module, size_px: tuple[int, int]) -> int:
    """Fold, in place, each batch norm that reads a convolution's output alone; returns how many were folded.

    Which those are is seen in one pass in eval mode over an image of noise of `size_px` (height, width). A module with
    a hook stays as it is, since a tap reads it. Where the maps then differ from those before by more than `TOLERANCE`
    (another part of the network reads the convolution too), nothing is folded and 0 comes back.
    """
    assert not net.training, "only a network in eval mode keeps its statistics"
    image_1CHW = noise(net, size_px)
    pairs, before = pairs_of(net, image_1CHW)
    replaced: Replaced = {}
    for conv_path, norm_path in pairs:
        conv, norm = net.get_submodule(conv_path), net.get_submodule(norm_path)
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        replaced |= {conv_path: conv, norm_path: norm}
        net.set_submodule(conv_path, fuse_conv_bn_eval(conv, norm))
        net.set_submodule(norm_path, nn.Identity())
    if not pairs or same(before, net, image_1CHW):
        return len(pairs)
    for path, module in replaced.items():
        net.set_submodule(path, module)
    return 0


def noise(net: nn.Module, size_px: tuple[int, int]) -> Tensor:
    """1 x 3 x H x W from a generator of its own."""
    parameter = next(net.parameters())
    image = torch.randn(1, 3, *size_px, generator=torch.Generator().manual_seed(0))
    return image.to(parameter.device, parameter.dtype)


def pairs_of(net: nn.Module, image_1CHW: Tensor) -> tuple[list[tuple[str, str]], dict[str, Tensor]]:
    """Paths of each convolution and of the batch norm that reads it, and the maps of the pass that showed them."""
    runs: Counter[str] = Counter()
    pairs: list[tuple[str, str]] = []
    hooks = []
    for path, module in net.named_modules():
        if module._forward_hooks or module._forward_pre_hooks or parametrize.is_parametrized(module):
            continue
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(partial(after_convolution, path, runs)))
        elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            hooks.append(module.register_forward_pre_hook(partial(before_norm, path, runs, pairs)))
    try:
        maps = net(image_1CHW)
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair in pairs if runs[pair[0]] == runs[pair[1]] == 1], maps


def after_convolution(path: str, runs: Counter[str], module: nn.Module, inputs: Any, output: Any) -> None:
    """Hook that marks what a convolution gave with its path, and with its version, which a write in place changes."""
    runs[path] += 1
    output.made_by = path, output._version


def before_norm(path: str, runs: Counter[str], pairs: list[tuple[str, str]], module: nn.Module, inputs: Any) -> None:
    """Hook that notes whose output a batch norm reads."""
    runs[path] += 1
    maker, version = getattr(inputs[0], "made_by", (None, None))
    if maker is not None and version == inputs[0]._version:
        pairs.append((maker, path))


def same(before: dict[str, Tensor], net: nn.Module, image_1CHW: Tensor) -> bool:
    """Whether the network still gives the same maps, up to rounding."""
    try:
        after = net(image_1CHW)
    except Exception:
        # Its author's code reads a batch norm's attributes by itself.
        return False
    return all(relative(before[name], after[name]) <= TOLERANCE for name in before)


def relative(before: Tensor, after: Tensor) -> float:
    """Root mean square of the change, by that of what was."""
    size = before.float().square().mean().sqrt().clamp(min=torch.finfo(torch.float32).tiny)
    return float((after.float() - before.float()).square().mean().sqrt() / size)

"""A network as a function of decoded pictures: whole or by a sliding window, at one scale or several, mirrored too."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from stages.losses.maps import resize
from stages.training.config import EvaluationConfig

Predict = Callable[[np.ndarray], np.ndarray]
"""uint8 N x H x W x 3 RGB -> uint8 N x H x W class ids."""


def torch_predictor(
    net: nn.Module, normalise: nn.Module, device: str, evaluation: EvaluationConfig | None = None
) -> Predict:
    """A network in eval mode as a `Predict`: logits resized to the images bilinearly, corners aligned.

    By default each image is seen once and whole, as the exported file sees it.
    """
    assert not net.training, "scores need a network in eval mode"
    seen = evaluation or EvaluationConfig()

    # inference_mode would leave inference tensors in the networks' caches, which training then rejects.
    @torch.no_grad()
    def predict(images_NHWC: np.ndarray) -> np.ndarray:
        images_NCHW = normalise(torch.from_numpy(images_NHWC).to(device))
        maps_NCHW = logits(net, images_NCHW) if seen.plain else probabilities(net, images_NCHW, seen)
        return maps_NCHW.argmax(dim=1).to(torch.uint8).cpu().numpy()

    return predict


def logits(net: nn.Module, images_NCHW: Tensor) -> Tensor:
    """Logits of whole images on their own grid, N x C x H x W."""
    return resize(net(images_NCHW)["logits"], images_NCHW.shape[2:])


def probabilities(net: nn.Module, images_NCHW: Tensor, seen: EvaluationConfig) -> Tensor:
    """Class probabilities N x C x H x W, averaged over the scales and, if asked for, the mirror images."""
    size_hw = images_NCHW.shape[2:]
    total: Tensor | None = None
    for scale in seen.scales:
        scaled_NCHW = resize(images_NCHW, tuple(max(1, round(side * scale)) for side in size_hw))
        for mirrored in (False, True) if seen.mirror else (False,):
            view_NCHW = scaled_NCHW.flip(-1) if mirrored else scaled_NCHW
            maps_NCHW = windowed_logits(net, view_NCHW, seen) if seen.window_px else logits(net, view_NCHW)
            maps_NCHW = resize(maps_NCHW.flip(-1) if mirrored else maps_NCHW, size_hw).softmax(dim=1)
            total = maps_NCHW if total is None else total + maps_NCHW
    assert total is not None, "a config has at least one scale"
    return total / (len(seen.scales) * (1 + seen.mirror))


def windowed_logits(net: nn.Module, images_NCHW: Tensor, seen: EvaluationConfig) -> Tensor:
    """Logits N x C x H x W from windows that slide over the images, averaged where they overlap."""
    assert seen.window_px is not None
    total_NCHW: Tensor | None = None
    count_HW = images_NCHW.new_zeros(images_NCHW.shape[2:])
    rows, columns = (
        tuple(windows(length, window, seen.stride))
        for length, window in zip(images_NCHW.shape[2:], seen.window_px, strict=True)
    )
    for row in rows:
        for column in columns:
            part_NCHW = logits(net, images_NCHW[:, :, row, column])
            if total_NCHW is None:
                total_NCHW = part_NCHW.new_zeros(*part_NCHW.shape[:2], *images_NCHW.shape[2:])
            total_NCHW[:, :, row, column] += part_NCHW
            count_HW[row, column] += 1
    assert total_NCHW is not None, "windows cover an image"
    return total_NCHW / count_HW


def windows(length: int, window: int, stride: float) -> Iterator[slice]:
    """Windows along an axis that cover it, the last one flush with its end; one where it is no longer than a window."""
    window = min(window, length)
    step = max(1, round(window * stride))
    for start in range(0, length - window + step, step):
        end = min(start + window, length)
        yield slice(end - window, end)

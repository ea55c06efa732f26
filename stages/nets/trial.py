"""One forward of a network at each size that a stage will feed it, before anything is trained."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pipeline.errors import NetworkError, PipelineError
from stages.nets.catalogue import NetSpec
from stages.nets.faults import is_out_of_memory, one_line


@torch.no_grad()
def try_out(
    net: nn.Module, spec: NetSpec, size_px: tuple[int, int], crop_px: tuple[int, int] | None, batch: int
) -> None:
    """Run the network on black images: one of `size_px` in eval mode; where it is to be trained, `batch` of `crop_px`.

    Sizes are (height, width). The network is left as it was, and in training mode; torch's generators too.
    NetworkError where the network fails on a size, or its output is not N x classes x h x w.
    """
    device = next(net.parameters()).device
    with left_alone(net, device):
        runs = [(net.eval, 1, size_px, "whole images (data.size_px)")]
        if crop_px is not None:
            runs.append((net.train, batch, crop_px, "training crops (crop_px)"))
        for mode, count, (height, width), purpose in runs:
            images_NCHW = torch.zeros(count, 3, height, width, device=device)
            what = f"{count} x 3 x {height} x {width}, {purpose}"
            try:
                outputs = mode()(images_NCHW)
            except PipelineError:
                raise
            except Exception as error:
                if is_out_of_memory(error):
                    raise NetworkError(
                        f"{spec.net}: memory of the {device.type} does not suffice for one forward pass of {what}, in "
                        "fp32 and without gradients: give a smaller size, or a smaller network"
                    ) from error
                raise NetworkError(f"{spec.net} cannot take {what}: {one_line(error)}") from error
            for name in ("logits", "aux"):
                if name in outputs:
                    check_logits(outputs[name], name, count, spec, what)


def check_logits(logits: Tensor, name: str, count: int, spec: NetSpec, what: str) -> None:
    """NetworkError unless a map is float `count` x classes x h x w."""
    given = tuple(logits.shape)
    if logits.dim() != 4 or logits.shape[0] != count or not logits.is_floating_point():
        raise NetworkError(
            f"{spec.net} makes {name} of shape {given}, {logits.dtype}, from {what}: "
            f"they must be floating point N x C x h x w"
        )
    if logits.shape[1] != spec.classes:
        raise NetworkError(
            f"{spec.net} makes {name} of {given[1]} classes, the data has {spec.classes}: give it the data's number"
        )


@contextmanager
def left_alone(net: nn.Module, device: torch.device) -> Iterator[None]:
    """Puts back the running statistics and the random generators that a forward in training mode moves."""
    before = [buffer.clone() for buffer in net.buffers()]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
    net.train()
    for buffer, value in zip(net.buffers(), before, strict=True):
        buffer.copy_(value)

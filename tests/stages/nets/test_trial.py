"""Networks are tried at every size before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import NetworkError
from stages.nets.catalogue import NORMALISATIONS, NetSpec, build
from stages.nets.trial import try_out


def tried(net: str, classes: int = 7, size_px: Any = (64, 96), crop_px: Any = (64, 64), batch: int = 2) -> Any:
    spec = NetSpec(net, classes, {}, *NORMALISATIONS["imagenet"])
    built = build(net, classes)
    try_out(built, spec, size_px, crop_px, batch)
    return built


def test_the_network_is_left_as_it_was(own_nets: Path) -> None:
    spec = NetSpec("pspnet_resnet18", 7, {"width": 0.125}, *NORMALISATIONS["imagenet"])
    net = build(spec.net, spec.classes, **spec.args)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    random_state = torch.get_rng_state()
    try_out(net, spec, (32, 48), (32, 32), 2)
    assert net.training and torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("net", "changes", "told"),
    [
        ("own_nets:Pair", {}, r"own_nets:Pair gives tuple: it must give logits N x C x h x w"),
        ("own_nets:Vector", {}, r"logits of shape \(1, 7\), torch.float32, from 1 x 3 x 64 x 96.*N x C x h x w"),
        ("own_nets:fixed", {"classes": 8}, "logits of 7 classes, the data has 8"),
        ("own_nets:Silent", {}, "has an auxiliary head but gives no 'aux' in training"),
        (
            "own_nets:Coarse",
            {"size_px": (64, 90)},
            r"cannot take 1 x 3 x 64 x 90, whole images \(data.size_px\): ValueError: .*of 32 \(own_nets.py:\d+\)",
        ),
        ("own_nets:Coarse", {"crop_px": (64, 60)}, r"cannot take 2 x 3 x 64 x 60, training crops \(crop_px\)"),
        ("pspnet_resnet18", {"batch": 1}, "train with at least 2 images"),
    ],
)
def test_what_a_network_cannot_do_is_said_at_once(own_nets: Path, net: str, changes: Any, told: str) -> None:
    with pytest.raises(NetworkError, match=told) as caught:
        tried(net, **changes)
    assert "\n" not in str(caught.value)


def test_a_size_that_is_never_used_is_not_tried(own_nets: Path) -> None:
    assert tried("own_nets:Coarse", crop_px=None).training


def test_too_little_memory_is_said_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = NetSpec("pspnet_resnet18", 7, {"width": 0.125}, *NORMALISATIONS["imagenet"])
    net = build(spec.net, spec.classes, **spec.args)

    def full(images_NCHW: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(net, "forward", full)
    told = r"memory of the cpu does not suffice for one forward pass of 1 x 3 x 32 x 48, whole images \(data.size_px\)"
    with pytest.raises(NetworkError, match=told):
        try_out(net, spec, (32, 48), (32, 32), 2)

"""What a recipe may say of a network."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline import recipe
from stages.nets.config import NetConfig


def test_arguments_keep_their_types() -> None:
    args = {"width": 0.5, "p": 2, "aux_loss": True, "encoder_name": "resnet18", "decoder_channels": [8, 4]}
    read = NetConfig(net="espnet", args=args).args
    assert read == args and [type(value) for value in read.values()] == [float, int, bool, str, list]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("torchvision", "torchvision"),
        ("torchvision:ResNet18_Weights.IMAGENET1K_V1", "torchvision:ResNet18_Weights.IMAGENET1K_V1"),
        ("weights/torchvision.safetensors", Path("weights/torchvision.safetensors")),
        ("none", None),
        (None, None),
    ],
)
def test_weights_are_a_file_or_published_or_none(said: Any, read: Any) -> None:
    assert NetConfig(net="espnet", weights=said).weights == read


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"taps": {"logits": "head"}}, "logits is an output of every network"),
        ({"tap_stride": 0}, "tap_stride"),
        ({"weights_policy": "loose"}, "weights_policy"),
        ({"weights_min_share": 0}, "weights_min_share"),
        ({"args": {"a": {}}}, "args"),
    ],
)
def test_what_is_no_network_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        NetConfig(net="espnet", **settings)


def test_shipped_recipes_that_load_a_backbone_say_so() -> None:
    for name in recipe.shipped():
        configs = recipe.load(name).configs
        for net in (configs["teacher"], configs["distill"].student):
            assert net.weights is None or net.weights_policy == "matching", name


def test_the_papers_smaller_student_starts_from_scratch() -> None:
    changes = ["distill.student.args.width=0.5", "distill.student.weights=none"]
    student = recipe.load("cityscapes-pspnet-r18", changes).configs["distill"].student
    assert (student.net, student.args, student.weights) == ("pspnet_resnet18", {"width": 0.5}, None)


def test_the_spec_carries_what_an_artifact_needs() -> None:
    spec = NetConfig(net="a:b", args={"n": [1]}, taps={"pyramid": "decoder"}, tap_stride=8, normalise="symmetric").spec(
        3
    )
    assert (spec.net, spec.classes, spec.args, spec.mean) == ("a:b", 3, {"n": [1]}, (0.5, 0.5, 0.5))
    assert (spec.taps, spec.tap_stride) == ({"pyramid": "decoder"}, 8)

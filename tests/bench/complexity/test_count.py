"""Counts against hand-computed layers and the published networks' exact integers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.complexity.command import main, table
from bench.complexity.count import KINDS, complexity, count
from bench.program import parse_size
from pipeline.errors import NetworkError

ROOT = Path(__file__).resolve().parents[3]
SIZE_PX = (512, 1024)


class Small(nn.Module):
    """One layer of every counted kind, and an auxiliary head that refuses a single image in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=True)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2, bias=False)
        self.linear = nn.Linear(4, 5)
        self.aux_head: nn.Module | None = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1))

    def forward(self, images_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.grouped(self.conv(images_NCHW))
        outputs = {"logits": self.linear(self.up(features).mean((2, 3)))}
        if self.training and self.aux_head is not None:
            outputs["aux"] = self.aux_head(features)
        return outputs


def small() -> Small:
    with torch.device("meta"):
        return Small()


def test_every_kind_of_layer_by_hand() -> None:
    cost = count(small(), (6, 10)).to_json()
    cells = 3 * 5
    assert cost["macs"] == 8 * cells * 3 * 9 + 8 * cells * 2 * 9
    assert cost["transposed_conv_macs"] == 8 * cells * 4 * 4
    assert cost["matmul_macs"] == 4 * 5
    assert cost["macs_with_aux"] == cost["macs"] + 8 * 2
    assert cost["flops"] == 2 * (cost["macs"] + cost["transposed_conv_macs"] + cost["matmul_macs"])
    assert cost["params"] == (3 * 8 * 9 + 8) + 8 * 2 * 9 + 8 * 4 * 4 + (4 * 5 + 5)
    assert cost["params_with_aux"] == cost["params"] + 16 + (16 + 2)


def test_layers_are_named_and_add_up() -> None:
    cost = count(small(), (6, 10)).to_json()
    layers = {layer["name"]: layer for layer in cost["layers"]}
    assert layers["conv"]["output"] == (1, 8, 3, 5)
    assert layers["up"]["macs"] == {"conv2d": 0, "transposed_conv": 8 * 15 * 16, "matmul": 0}
    assert [name for name, layer in layers.items() if layer["aux"]] == ["aux_head.1", "aux_head.2"]
    assert sum(layer["params"] for layer in layers.values()) == cost["params_with_aux"]
    assert cost["flops"] == 2 * sum(
        layer["macs"][kind] for layer in layers.values() for kind in KINDS if not layer["aux"]
    )


def test_traffic_of_each_layer_by_hand() -> None:
    """6 x 10 pixels give 3 x 5 cells; the linear layer reads a mean over the 6 x 10 cells of `up`."""
    cost = count(small(), (6, 10)).to_json()
    layers = {layer["name"]: (layer["weight_elements"], layer["activation_elements"]) for layer in cost["layers"]}
    assert layers["conv"] == (3 * 8 * 9 + 8, 3 * 60 + 8 * 15)
    assert layers["grouped"] == (8 * 2 * 9, 8 * 15 + 8 * 15)
    assert layers["up"] == (8 * 4 * 4, 8 * 15 + 4 * 60)
    assert layers["linear"] == (4 * 5 + 5, 4 + 5)
    assert layers["aux_head.2"] == (8 * 2 + 2, 8 + 2)


class Branches(nn.Module):
    """Two convolutions of one picture, the second halved in place, then their sum: at most picture and both at once."""

    aux_head = None

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)

    def forward(self, images_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        one = self.one(images_NCHW)
        two = self.two(images_NCHW).mul_(0.5)
        return {"logits": one.add_(two.view_as(one))}


def test_activations_held_at_once_by_hand() -> None:
    """4 x 6 pixels in float32: 3 channels of the picture, 2 + 2 of the branches; weights and views are nothing more."""
    with torch.device("meta"):
        meta = Branches()
    for net in (Branches(), meta):
        assert count(net, (4, 6)).activation_peak_bytes == (3 + 2 + 2) * 24 * 4


def test_what_is_forgotten_is_not_held() -> None:
    """A chain 3 -> 2 -> 2 -> 2 with the picture held by the caller: 3 + 2 + 2 channels, whatever its length."""
    with torch.device("meta"):
        convolutions = [nn.Conv2d(3 if i == 0 else 2, 2, 1) for i in range(5)]
        net = nn.Sequential(*convolutions)
    net.aux_head = None
    assert count(net, (4, 6)).activation_peak_bytes == (3 + 2 + 2) * 24 * 4


def test_without_auxiliary_head_both_conventions_agree() -> None:
    net = small()
    net.aux_head = None
    cost = count(net, (6, 10)).to_json()
    assert (cost["params"], cost["macs"]) == (cost["params_with_aux"], cost["macs_with_aux"])


@pytest.mark.parametrize(
    ("net", "args", "params_with_aux", "params", "macs_with_aux", "macs"),
    [
        ("pspnet_resnet101", {}, 70_437_350, 65_707_475, 574_932_147_200, 535_285_184_000),
        ("pspnet_resnet18", {}, 13_068_262, 12_770_515, 125_831_856_896, 123_338_627_456),
        ("pspnet_resnet18", {"width": 0.5}, 3_271_686, 3_196_531, 31_524_783_488, 30_896_378_048),
        ("espnet", {"p": 2, "q": 8}, 363_462, 363_462, 4_421_869_568, 4_421_869_568),
    ],
)
def test_published_networks(
    net: str, args: dict[str, float], params_with_aux: int, params: int, macs_with_aux: int, macs: int
) -> None:
    cost = complexity(net, 19, SIZE_PX, args)
    assert (cost["params_with_aux"], cost["params"]) == (params_with_aux, params)
    assert (cost["macs_with_aux"], cost["macs"]) == (macs_with_aux, macs)


def test_transposed_convolutions_of_espnet_stand_apart() -> None:
    assert complexity("espnet", 19, SIZE_PX, {"p": 2, "q": 8})["transposed_conv_macs"] == 248_414_208


def test_matrix_products_of_the_pyramid_stand_apart() -> None:
    """512 channels on a 65 x 129 grid: bins b of 1, 2, 3, 6 cost b x 65 x 129 and b x 129 x b each."""
    cost = complexity("pspnet_resnet18", 19, SIZE_PX)
    assert cost["matmul_macs"] == sum(512 * (b * 65 * 129 + b * 129 * b) for b in (1, 2, 3, 6))
    assert cost["flops"] == 2 * (cost["macs"] + cost["matmul_macs"])


@pytest.mark.parametrize(
    ("net", "classes", "width", "params_with_aux"),
    [
        ("pspnet_resnet101", 150, 1.0, 70_571_756),
        ("pspnet_resnet18", 150, 1.0, 13_102_060),
        ("pspnet_resnet18", 150, 0.5, 3_288_716),
        ("pspnet_resnet101", 21, 1.0, 70_439_402),
        ("pspnet_resnet18", 21, 1.0, 13_068_778),
        ("pspnet_resnet18", 21, 0.5, 3_271_946),
        ("pspnet_mobilenet_v2", 19, 1.0, 2_146_011),
        ("pspnet_mobilenet_v2", 150, 1.0, 2_151_382),
    ],
)
def test_other_class_counts(net: str, classes: int, width: float, params_with_aux: int) -> None:
    assert complexity(net, classes, (64, 64), {"width": width})["params_with_aux"] == params_with_aux


def test_command_prints_one_json_object() -> None:
    command = "--net pspnet_resnet18 --width 0.5 --classes 19 --size 512x1024 --json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.complexity", *command.split()],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    cost = json.loads(done.stdout)
    asked = [cost[name] for name in ("net", "width", "classes", "size")]
    assert asked == ["pspnet_resnet18", 0.5, 19, [512, 1024]]
    assert (cost["params"], cost["params_with_aux"]) == (3_196_531, 3_271_686)
    assert (cost["macs"], cost["macs_with_aux"]) == (30_896_378_048, 31_524_783_488)
    assert cost["flops"] == 2 * (cost["macs"] + cost["transposed_conv_macs"] + cost["matmul_macs"])
    assert "paper" in cost["convention"]
    assert "deployed" in cost["convention"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--net pspnet_resnet19", "pspnet_resnet18"),
        ("--net pspnet_resnet18 --size 512", "HEIGHTxWIDTH"),
        ("--net pspnet_resnet18 --size 0x64", "HEIGHTxWIDTH"),
        ("--net pspnet_resnet18 --width 0", "width"),
        ("--net pspnet_resnet18 --width nan", "width"),
        ("--net pspnet_resnet18 --width half", "--width"),
        ("--net pspnet_resnet18 --classes 0", "--classes"),
        ("--net espnet --width 0.5", "width"),
        ("--size 64x64", "--net"),
        ("--net espnet --table", "--table"),
        ("--net espnet --update README.md", "--update"),
        ("--net espnet --arg width", "NAME=VALUE"),
        ("--net torchvision:fcn_resnet5", "fcn_resnet50"),
        ("--net pspnet_resnet18 --sise 64x64", "--size"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert told in err


def test_table_shows_layers_and_both_conventions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--net", "pspnet_resnet18", "--width", "0.5"]) == 0
    text = capsys.readouterr().out
    assert "3,271,686 params" in text
    assert "3,196,531 params" in text
    assert "31,524,783,488 Conv2d MACs" in text
    assert "1x32x256x512" in text
    assert text.rstrip("\n") == table(complexity("pspnet_resnet18", 19, SIZE_PX, {"width": 0.5}))


def test_networks_from_outside_are_counted_under_their_own_names() -> None:
    """torchvision prints 11,029,328 parameters with 21 classes; its auxiliary head holds 10 x 40 x 9 + 20 + 11 x 21."""
    net = "torchvision:deeplabv3_mobilenet_v3_large"
    cost = complexity(net, 21, (64, 64), {"aux_loss": True})
    assert cost["params_with_aux"] == 11_029_328
    assert cost["params_with_aux"] - cost["params"] == 10 * 40 * 9 + 20 + 11 * 21
    auxiliary = {layer["name"]: layer["aux"] for layer in cost["layers"]}
    assert not auxiliary["backbone.0.0"] and auxiliary["aux_classifier.0"] and auxiliary["aux_classifier.4"]


class Attention(nn.Module):
    """Fused attention of 2 heads over the cells of the image, and no auxiliary head."""

    aux_head = None

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Conv2d(3, 24, 1, bias=False)

    def forward(self, images_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        query, key, value = self.qkv(images_NCHW).flatten(2).view(-1, 3, 2, 4, 15).transpose(-1, -2).unbind(1)
        return {"logits": nn.functional.scaled_dot_product_attention(query, key, value)}


def test_attention_costs_two_products_on_either_device() -> None:
    with torch.device("meta"):
        meta = Attention()
    for net in (Attention(), meta):
        assert count(net, (3, 5)).macs("matmul") == 2 * (2 * 15 * 15 * 4)


def test_a_size_that_a_network_cannot_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "narrow_nets.py").write_text("import torch\ndef even(classes): return torch.nn.Conv2d(3, classes, 9)\n")
    monkeypatch.chdir(tmp_path)
    assert complexity("narrow_nets:even", 4, (9, 9))["macs"] == 3 * 9 * 9 * 4
    with pytest.raises(NetworkError, match=r"narrow_nets:even with \{\} cannot take 8x9: RuntimeError: .*; change"):
        complexity("narrow_nets:even", 4, (8, 9))


def test_size_is_height_by_width() -> None:
    assert parse_size("512x1024") == (512, 1024)
    with pytest.raises(NetworkError, match="512x1024"):
        parse_size("512,1024")

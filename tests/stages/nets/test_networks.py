"""What every network of the catalogue keeps to; a new one is a line in `NETWORKS` and tested by all of this."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import NetworkError
from stages.nets.catalogue import CATALOGUE, NORMALISATIONS, NetSpec, build, names
from stages.nets.saved import load_net, save_net

CLASSES = 11
HEIGHT, WIDTH = 64, 96
SMALL = {"width": 0.125, "p": 1, "q": 2}
"""Values of the arguments that make a network small."""

Grid = Callable[[int], int]
"""Cells of a map along an axis of so many pixels."""


def whole(pixels: int) -> int:
    return pixels


def halves(times: int) -> Grid:
    """Convolutions of stride 2: each leaves (cells + 1) // 2."""

    def grid(pixels: int) -> int:
        return -(-pixels // 2**times)

    return grid


def dilated(pixels: int) -> int:
    """The deep-stem ResNet, whose max-pool has ceil_mode: ceil((cells + 2 - 3) / 2) + 1."""
    return halves(1)(halves(1)(pixels) // 2 + 1)


def cascade(pixels: int) -> int:
    """ICNet: half of the grid that the deep-stem ResNet has at half the size."""
    return halves(1)(dilated(halves(1)(pixels)))


def padded(pixels: int) -> int:
    """FCN: 99 cells more on each side, five poolings that round up."""
    return halves(5)(pixels + 198)


@dataclass(frozen=True)
class Expected:
    """What is known of a network beforehand."""

    logits: Grid
    backbone: Grid
    pyramid: Grid
    nodes: int
    """Of its ONNX graph, from normalised images to logits, at most."""
    args: dict[str, float] = field(default_factory=dict)
    """Smaller than `SMALL` makes it."""


EIGHTH = (dilated, dilated, dilated)
STRIDED = (halves(3), halves(5), halves(3))
NETWORKS = {
    "pspnet_resnet18": Expected(*EIGHTH, nodes=76),
    "pspnet_resnet34": Expected(*EIGHTH, nodes=116),
    "pspnet_resnet50": Expected(*EIGHTH, nodes=148),
    "pspnet_resnet101": Expected(*EIGHTH, nodes=267),
    "pspnet_mobilenet_v2": Expected(halves(3), halves(3), halves(3), nodes=122),
    "pspnet_resnet18_strided": Expected(*STRIDED, nodes=81),
    "deeplabv3_resnet18": Expected(*EIGHTH, nodes=70),
    "deeplabv3_resnet34": Expected(*EIGHTH, nodes=110),
    "deeplabv3_resnet50": Expected(*EIGHTH, nodes=142),
    "deeplabv3_resnet101": Expected(*EIGHTH, nodes=261),
    "deeplabv3_mobilenet_v2": Expected(halves(3), halves(3), halves(3), nodes=116),
    "espnet": Expected(whole, halves(3), halves(3), nodes=191),
    "enet": Expected(whole, halves(3), halves(1), nodes=215),
    "erfnet": Expected(whole, halves(3), halves(1), nodes=173),
    "icnet_resnet50": Expected(lambda pixels: 2 * halves(3)(pixels), cascade, halves(3), nodes=162),
    "fcn_vgg16": Expected(whole, padded, lambda pixels: padded(pixels) - 6, nodes=49, args={"width": 0.03}),
    "refinenet_resnet101": Expected(halves(2), halves(5), halves(2), nodes=408),
    "ocnet_resnet101": Expected(*EIGHTH, nodes=277),
    "ocrnet_resnet101": Expected(*EIGHTH, nodes=282),
    "ann_resnet101": Expected(*EIGHTH, nodes=331),
    "ddrnet_23_slim": Expected(halves(3), halves(3), halves(3), nodes=150),
    "pidnet_s": Expected(halves(3), halves(3), halves(3), nodes=201),
    "pp_liteseg_t": Expected(*STRIDED, nodes=140),
    "pp_liteseg_b": Expected(*STRIDED, nodes=194),
}

OPERATORS = """
Add AveragePool BatchNormalization Cast Clip Concat Conv ConvTranspose GreaterOrEqual LeakyRelu MatMul MaxPool Mul PRelu
Pad ReduceMax ReduceMean ReduceSum Relu Reshape Resize Sigmoid Slice Softmax Sub Transpose Unsqueeze
"""
"""What the graphs are made of: TensorRT's parser reads each of them in fp32 and fp16."""

every_net = pytest.mark.parametrize("net_name", names())


def test_every_network_of_the_catalogue_is_expected() -> None:
    assert set(NETWORKS) == set(names())


def small_args(net_name: str) -> dict[str, float]:
    return {name: SMALL[name] for name in CATALOGUE[net_name].accepts} | NETWORKS[net_name].args


def built(net_name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build(net_name, CLASSES, **small_args(net_name))


@cache
def _settled(net_name: str) -> nn.Module:
    net = built(net_name)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        net(images(seed=9))
    return net.eval()


def settled(net_name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The network in eval mode, its running statistics taken from one batch, so that its maps stay near 1."""
    return copy.deepcopy(_settled(net_name)).to(dtype)


def images(
    count: int = 2, height: int = HEIGHT, width: int = WIDTH, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed)).to(dtype)


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Equal but for the rounding of float64; deep random networks blow up that of float32."""
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        limit = 1e-10 * tensor.abs().max().item()
        assert (actual[name] - tensor).abs().max() <= limit, name


@every_net
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (65, 97), (71, 90)])
def test_maps_have_the_declared_channels_and_grids(net_name: str, size: tuple[int, int]) -> None:
    net = settled(net_name)
    with torch.no_grad():
        outputs = net(images(1, *size))
    expected = {
        tap: (1, net.tap_channels[tap], *map(getattr(NETWORKS[net_name], tap), size))
        for tap in ("logits", "backbone", "pyramid")
    }
    assert {tap: tuple(tensor.shape) for tap, tensor in outputs.items()} == expected
    assert net.tap_channels["logits"] == CLASSES
    assert all(tensor.dtype == torch.float32 for tensor in outputs.values())


@every_net
def test_aux_comes_only_from_an_aux_head_in_training(net_name: str) -> None:
    net = built(net_name)
    outputs = net(images())
    assert ("aux" in outputs) == (net.aux_head is not None)
    assert all(outputs[tap].shape[1] == channels for tap, channels in net.tap_channels.items())
    if net.aux_head is not None:
        assert outputs["aux"].shape[:2] == (2, CLASSES)
    net.aux_head = None
    assert "aux" not in net(images())
    assert not any("aux" in key for key in net.state_dict())


@every_net
def test_every_parameter_learns_in_any_size(net_name: str) -> None:
    net = built(net_name)
    outputs = net(images(2, 65, 97))
    sum(outputs[name].square().mean() for name in ("logits", "aux") if name in outputs).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@every_net
def test_one_image_trains_or_is_refused(net_name: str) -> None:
    try:
        outputs = built(net_name)(images(1))
    except NetworkError as error:
        assert "at least 2 images per process" in str(error)
    else:
        assert outputs["logits"].isfinite().all()


@every_net
def test_eval_is_a_function_of_one_image(net_name: str) -> None:
    net = settled(net_name, torch.float64)
    before = copy.deepcopy(net.state_dict())
    pair = images(2, 40, 56, dtype=torch.float64)
    with torch.no_grad():
        both, again, alone = net(pair), net(pair), net(pair[:1])
    assert all(torch.equal(both[name], again[name]) for name in both)
    assert_close(alone, {name: tensor[:1] for name, tensor in both.items()})
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@every_net
def test_training_moves_the_running_statistics_of_every_batch_norm(net_name: str) -> None:
    net = built(net_name)
    with torch.no_grad():
        net(images())
    norms = {name: module for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert norms or net_name == "fcn_vgg16"
    still = [name for name, norm in norms.items() if norm.running_mean.eq(0).all()]
    assert not still


@every_net
@pytest.mark.parametrize("with_aux", [True, False])
def test_a_saved_network_comes_back_bit_for_bit(net_name: str, with_aux: bool, tmp_path: Path) -> None:
    net = settled(net_name)
    if not with_aux:
        net.aux_head = None
    spec = NetSpec(net_name, CLASSES, small_args(net_name), *NORMALISATIONS["imagenet"])
    save_net(tmp_path, net, spec)
    random_state = torch.get_rng_state()
    again, spec_again = load_net(tmp_path)
    assert torch.equal(torch.get_rng_state(), random_state), "loading drew random numbers"
    assert spec_again == spec
    assert not again.training
    assert all(parameter.requires_grad for parameter in again.parameters())
    assert (again.aux_head is None) == (net.aux_head is None)
    state, state_again = net.state_dict(), again.state_dict()
    assert list(state) == list(state_again)
    assert all(torch.equal(state[key], state_again[key]) for key in state)
    with torch.no_grad():
        outputs, outputs_again = net(images()), again(images())
    assert all(torch.equal(outputs[name], outputs_again[name]) for name in outputs)
    plain = (tmp_path / "model.safetensors").read_bytes()
    save_net(tmp_path, net.to(memory_format=torch.channels_last), spec)
    assert (tmp_path / "model.safetensors").read_bytes() == plain


@every_net
def test_channels_last_gives_equal_maps(net_name: str) -> None:
    net, pair = settled(net_name, torch.float64), images(2, 40, 56, dtype=torch.float64)
    with torch.no_grad():
        expected = net(pair)
        net.to(memory_format=torch.channels_last)
        actual = net(pair.to(memory_format=torch.channels_last))
    assert_close(actual, expected)


@every_net
def test_autocast_keeps_every_map_bfloat16_and_channels_last(net_name: str) -> None:
    net = built(net_name).to(memory_format=torch.channels_last)
    strays: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if not isinstance(output, Tensor):
                return
            kept = output.is_contiguous(memory_format=torch.channels_last)
            if output.dtype != torch.bfloat16 or not kept:
                strays.append(f"{name}: {output.dtype}, channels_last {kept}")

        return hook

    for name, module in net.named_modules():
        module.register_forward_hook(watch(name))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        outputs = net(images().to(memory_format=torch.channels_last))
    assert not strays
    assert all(tensor.dtype == torch.bfloat16 for tensor in outputs.values())


@every_net
def test_the_seed_decides_the_start(net_name: str) -> None:
    first, same, other = (built(net_name, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], same[key]) for key in first)
    # FCN's enlargements start bilinear.
    drawn = [key for key in first if first[key].dim() == 4 and "enlarge" not in key]
    assert not any(torch.equal(first[key], other[key]) for key in drawn)


class Logits(nn.Module):
    """A network with one output, as the exporter takes it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images_NCHW: Tensor) -> Tensor:
        logits: Tensor = self.net(images_NCHW)["logits"]
        return logits


@every_net
def test_onnx_says_what_torch_says_in_few_nodes(net_name: str) -> None:
    module, example = Logits(settled(net_name)).eval(), images(1, seed=1)
    program = torch.onnx.export(module, (example,), dynamo=True, opset_version=19, verbose=False)
    assert program is not None
    nodes = program.model_proto.graph.node
    assert {node.op_type for node in nodes} <= set(OPERATORS.split())
    assert len(nodes) <= NETWORKS[net_name].nodes
    onnx.checker.check_model(program.model_proto)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (array,) = session.run(None, {session.get_inputs()[0].name: example.numpy()})
    with torch.no_grad():
        in_torch, exact = module(example), module.double()(example.double())
    # As near to the exact logits as torch's own float32, within an order of magnitude.
    limit = 10 * (in_torch - exact).abs().max() + 1e-6 * exact.abs().max()
    assert (torch.from_numpy(array) - exact).abs().max() <= limit
    assert limit <= 0.05 * exact.abs().max()

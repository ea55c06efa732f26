"""What every network of the catalogue keeps to; a new name in the catalogue is tested without a line here."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from stages.nets.catalogue import CATALOGUE, NORMALISATIONS, NetSpec, build, names
from stages.nets.saved import load_net, save_net

CLASSES = 11
SMALL = {"width": 0.125, "p": 1, "q": 2}
"""Values of the arguments that make each network small."""

every_net = pytest.mark.parametrize("net_name", names())


def small_args(net_name: str) -> dict[str, float]:
    return {name: SMALL[name] for name in CATALOGUE[net_name].accepts}


def built(net_name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build(net_name, CLASSES, **small_args(net_name))


def settled(net_name: str) -> nn.Module:
    """The network in eval mode, its running statistics taken from one batch, so that its maps stay near 1."""
    net = built(net_name)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        net(images(seed=9))
    return net.eval()


def images(count: int = 2, height: int = 64, width: int = 96, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        limit = 1e-3 * tensor.abs().max().item()
        assert (actual[name] - tensor).abs().max() <= limit, name


def grids(net_name: str, height: int, width: int) -> dict[str, tuple[int, int]]:
    """The grid of each map; a convolution of stride 2 leaves (cells + 1) // 2."""

    def halved(cells: int, times: int) -> int:
        return cells if times == 0 else halved((cells + 1) // 2, times - 1)

    def eighth(cells: int) -> int:
        if "resnet" not in net_name:
            return halved(cells, 3)
        # A max-pool with ceil_mode: ceil((cells + 2 - 3) / 2) + 1.
        return halved(halved(cells, 1) // 2 + 1, 1)

    grid = (eighth(height), eighth(width))
    return {"logits": (height, width) if net_name == "espnet" else grid, "backbone": grid, "pyramid": grid}


@every_net
@pytest.mark.parametrize("size", [(64, 96), (65, 97), (71, 90)])
def test_maps_have_the_declared_channels_and_grids(net_name: str, size: tuple[int, int]) -> None:
    net = built(net_name).eval()
    with torch.no_grad():
        outputs = net(images(1, *size))
    expected = {tap: (1, net.tap_channels[tap], *grid) for tap, grid in grids(net_name, *size).items()}
    assert {tap: tuple(tensor.shape) for tap, tensor in outputs.items()} == expected
    assert net.tap_channels["logits"] == CLASSES
    assert all(tensor.dtype == torch.float32 for tensor in outputs.values())


@every_net
def test_aux_comes_only_from_an_aux_head_in_training(net_name: str) -> None:
    net = built(net_name)
    outputs = net(images())
    assert ("aux" in outputs) == (net.aux_head is not None)
    if net.aux_head is not None:
        assert outputs["aux"].shape == outputs["logits"].shape
    net.aux_head = None
    assert "aux" not in net(images())
    assert not any("aux" in key for key in net.state_dict())


@every_net
def test_every_parameter_learns(net_name: str) -> None:
    net = built(net_name)
    outputs = net(images())
    sum(outputs[name].square().mean() for name in ("logits", "aux") if name in outputs).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@every_net
def test_eval_is_a_function_of_one_image(net_name: str) -> None:
    net = settled(net_name)
    before = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        both = net(images())
        again = net(images())
        alone = net(images()[:1])
    assert all(torch.equal(both[name], again[name]) for name in both)
    assert_close(alone, {name: tensor[:1] for name, tensor in both.items()})
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@every_net
def test_training_moves_the_running_statistics_of_every_batch_norm(net_name: str) -> None:
    net = built(net_name)
    with torch.no_grad():
        net(images())
    norms = {name: module for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert norms
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
    net = settled(net_name)
    with torch.no_grad():
        expected = net(images())
        net.to(memory_format=torch.channels_last)
        actual = net(images().to(memory_format=torch.channels_last))
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
    convolutions = [key for key in first if first[key].dim() == 4]
    assert not any(torch.equal(first[key], other[key]) for key in convolutions)

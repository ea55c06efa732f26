"""A checkpoint becomes a safetensors file that holds its tensors and nothing else."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.errors import WeightsError
from stages.nets.convert import convert


def state(**more: object) -> dict[str, object]:
    """Two layers, the second of them a batch norm."""
    return {
        "conv.weight": torch.arange(8.0).view(2, 1, 2, 2),
        "bn.weight": torch.tensor([-2.0, 0.5]),
        "bn.bias": torch.tensor([0.25, -1.0]),
        "bn.running_mean": torch.zeros(2),
        "bn.running_var": torch.ones(2),
        **more,
    }


def converted(tmp_path: Path, checkpoint: object, *maps: tuple[str, str], **options):
    """(report, tensors) of a checkpoint that was saved and converted."""
    torch.save(checkpoint, tmp_path / "in.pth")
    report = convert(tmp_path / "in.pth", tmp_path / "out.safetensors", maps, **options)
    return report, load_file(tmp_path / "out.safetensors")


def assert_same(found, wanted) -> None:
    assert set(found) == set(wanted)
    for key, tensor in wanted.items():
        assert found[key].dtype == tensor.dtype and torch.equal(found[key], tensor), key


def test_a_bare_state_dict_keeps_its_tensors_and_types(tmp_path) -> None:
    counter = torch.tensor(7)
    half = torch.tensor([1.5, 2.5], dtype=torch.float16)
    report, found = converted(tmp_path, state(**{"bn.num_batches_tracked": counter, "half": half}))
    assert_same(found, state(**{"bn.num_batches_tracked": counter, "half": half}))
    assert report["inside"] == "" and report["stripped"] == () and report["dropped"] == {}
    assert report["tensors"] == 7 and report["dtypes"] == {"float32": 5, "int64": 1, "float16": 1}
    assert report["parameters"] == 8 + 2 + 2 + 2


@pytest.mark.parametrize(
    ("wrap", "inside"),
    [
        (lambda s: {"state_dict": s, "epoch": 3}, "state_dict"),
        (lambda s: {"model": s, "epoch": 3}, "model"),
        (lambda s: {"epoch": 3, "model": {"state_dict": s}}, "model.state_dict"),
        (lambda s: {"epoch": 3, "best": torch.tensor(0.5), "net": s}, "net"),
    ],
)
def test_the_network_is_found_in_what_training_programs_save(tmp_path, wrap, inside) -> None:
    report, found = converted(tmp_path, wrap(state()))
    assert_same(found, state())
    assert report["inside"] == inside and report["dropped"]["epoch"] == "int"


def test_another_entry_is_taken_where_it_is_named(tmp_path) -> None:
    averaged = {key: tensor + 1 for key, tensor in state().items()}
    report, found = converted(tmp_path, {"model": state(), "ema": {"model": averaged}}, inside="ema.model")
    assert_same(found, averaged)
    assert report["inside"] == "ema.model" and report["dropped"] == {"model": "dict"}


def test_what_wrapping_put_before_every_key_is_taken_off_and_said(tmp_path) -> None:
    wrapped = {f"module._orig_mod.{key}": tensor for key, tensor in state().items()}
    report, found = converted(tmp_path, wrapped)
    assert_same(found, state())
    assert report["stripped"] == ("module.", "_orig_mod.")
    report, found = converted(tmp_path, {**wrapped, "other": torch.zeros(1)}, force=True)
    assert report["stripped"] == () and "module._orig_mod.conv.weight" in found


def test_what_is_no_tensor_is_dropped_and_said(tmp_path) -> None:
    report, found = converted(tmp_path, state(version="2", lr=0.1, steps=[1, 2]))
    assert_same(found, state())
    assert report["dropped"] == {"version": "str", "lr": "float", "steps": "list"}


def test_keys_are_mapped_by_whole_parts_in_order(tmp_path) -> None:
    keys = ("layer1.0.weight", "layer10.weight", "head.weight", "head")
    report, found = converted(
        tmp_path,
        {key: torch.full((1,), float(i)) for i, key in enumerate(keys)},
        ("layer1", "backbone.stage1"),
        ("head.", "classifier"),
        ("backbone", ""),
        ("", "net"),
    )
    assert {key: tensor.item() for key, tensor in found.items()} == {
        "net.stage1.0.weight": 0,
        "net.layer10.weight": 1,
        "net.classifier.weight": 2,
        "net.classifier": 3,
    }
    assert report["renamed"] == {"layer1=backbone.stage1": 1, "head.=classifier": 2, "backbone=": 1, "=net": 4}


@pytest.mark.parametrize(
    ("pair", "part"),
    [
        (("cnv", "x"), r"--map cnv=x: no key begins with 'cnv'; the nearest is 'conv'"),
        (("bn.runing_mean", "x"), r"the nearest is 'bn.running_mean'"),
        (("con", "x"), r"no key begins with 'con'"),
        (("conv", "bn"), r"with conv.weight renamed, another one be 'bn.weight' too|with bn.weight renamed"),
        (("conv.weight", ""), r"nothing be left"),
    ],
)
def test_a_map_that_cannot_be_applied(tmp_path, pair, part) -> None:
    with pytest.raises(WeightsError, match=part):
        converted(tmp_path, state(), pair)
    assert not (tmp_path / "out.safetensors").exists()


def test_tensors_that_share_memory_are_written_apart(tmp_path) -> None:
    base = torch.arange(12.0)
    views = {"a": base[:6].view(2, 3), "b": base[:6].view(2, 3), "c": base[3:], "t": base.view(3, 4).T}
    _, found = converted(tmp_path, views)
    assert_same(found, {key: tensor.contiguous() for key, tensor in views.items()})
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    _, found = converted(tmp_path, tied.state_dict(), force=True)
    assert torch.equal(found["0.weight"], found["1.weight"])


def test_inplace_abn_weights_become_the_scale_that_they_stand_for(tmp_path) -> None:
    more = {"gn.weight": torch.tensor([-1.0]), "gn.bias": torch.tensor([0.0])}
    report, found = converted(tmp_path, state(**more), inplace_abn_eps=1e-3)
    assert report["batch_norms"] == 1
    torch.testing.assert_close(found["bn.weight"], torch.tensor([2.001, 0.501]))
    kept = {key: tensor for key, tensor in state(**more).items() if key != "bn.weight"}
    assert_same({key: tensor for key, tensor in found.items() if key != "bn.weight"}, kept)
    with pytest.raises(WeightsError, match="has no batch norm"):
        converted(tmp_path, {"conv.weight": torch.zeros(1)}, inplace_abn_eps=1e-5, force=True)


def test_inplace_abn_gives_what_its_own_formula_gives(tmp_path) -> None:
    """A plain batch norm with the converted weight is (x - mean) / sqrt(var + eps) * (|w| + eps) + bias."""
    _, found = converted(tmp_path, state(), inplace_abn_eps=1e-5)
    norm = nn.BatchNorm2d(2).eval()
    norm.load_state_dict({k.removeprefix("bn."): t for k, t in found.items() if k.startswith("bn.")}, strict=False)
    x = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([2.0 + 1e-5, 0.5 + 1e-5]).view(1, 2, 1, 1)
    expected = x / (1 + 1e-5) ** 0.5 * scale + torch.tensor([0.25, -1.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(norm(x), expected)


def test_a_safetensors_file_can_be_mapped_too(tmp_path) -> None:
    save_file({"encoder.w": torch.ones(2)}, tmp_path / "in.safetensors")
    convert(tmp_path / "in.safetensors", tmp_path / "out.safetensors", [("encoder", "backbone")])
    assert set(load_file(tmp_path / "out.safetensors")) == {"backbone.w"}


class Opens:
    """Unpickling this would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_a_file_is_refused_and_not_run(tmp_path) -> None:
    with pytest.raises(WeightsError, match=r"holds more than tensors \(.*open\), .*: where it was") as caught:
        converted(tmp_path, {"state_dict": state(), "extra": Opens(tmp_path / "ran")})
    assert "\n" not in str(caught.value)
    with (tmp_path / "plain.pkl").open("wb") as file:
        pickle.dump({"state_dict": Opens(tmp_path / "ran")}, file)
    with pytest.raises(WeightsError) as caught:
        convert(tmp_path / "plain.pkl", tmp_path / "out.safetensors")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out.safetensors").exists()


def test_a_whole_network_is_refused_with_its_class(tmp_path) -> None:
    with pytest.raises(WeightsError, match=r"holds more than tensors \(torch\.nn\.modules\.linear\.Linear\)"):
        converted(tmp_path, nn.Linear(2, 2))


@pytest.mark.filterwarnings("ignore:.*torch.jit", "ignore:`torch.jit")
def test_a_torchscript_archive_is_refused(tmp_path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))
    with pytest.raises(WeightsError, match=r"holds more than tensors \(TorchScript\)"):
        convert(tmp_path / "script.pt", tmp_path / "out.safetensors")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x80\x02."])
def test_a_file_that_is_no_checkpoint(tmp_path, content) -> None:
    (tmp_path / "in.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"cannot read .*in\.pth as a checkpoint") as caught:
        convert(tmp_path / "in.pth", tmp_path / "out.safetensors")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_is_cut_off(tmp_path) -> None:
    torch.save(state(), tmp_path / "whole.pth")
    content = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "in.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match="cannot read"):
        convert(tmp_path / "in.pth", tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    ("checkpoint", "part"),
    [
        ([torch.zeros(1)], "holds no network: it is a list"),
        (torch.zeros(1), "holds no network: it is a Tensor"),
        ({"epoch": 3}, "holds no network: its entries are epoch"),
        ({}, "holds no network: its entries are none"),
        ({"generator": {"w": torch.zeros(1)}}, "choose one of its entries with --inside: generator"),
        ({"w": torch.eye(2).to_sparse()}, "w is a sparse or quantised tensor"),
    ],
)
def test_a_checkpoint_without_a_network(tmp_path, checkpoint, part) -> None:
    with pytest.raises(WeightsError, match=part):
        converted(tmp_path, checkpoint)


def test_an_entry_that_is_not_there(tmp_path) -> None:
    with pytest.raises(WeightsError, match=r"--inside ema: .* has no 'ema' with a network in it; choose .*: model"):
        converted(tmp_path, {"model": state()}, inside="ema")


def test_nothing_is_replaced_unless_told(tmp_path) -> None:
    converted(tmp_path, state())
    with pytest.raises(WeightsError, match=r"out\.safetensors exists: give another name, or --force"):
        converted(tmp_path, {"w": torch.ones(1)})
    assert_same(load_file(tmp_path / "out.safetensors"), state())
    _, found = converted(tmp_path, {"w": torch.ones(1)}, force=True)
    assert set(found) == {"w"}
    with pytest.raises(WeightsError, match="exists"):
        convert(tmp_path / "out.safetensors", tmp_path / "out.safetensors", force=True)


def test_names_that_cannot_be_written(tmp_path) -> None:
    torch.save(state(), tmp_path / "in.pth")
    with pytest.raises(WeightsError, match=r"must end in \.safetensors"):
        convert(tmp_path / "in.pth", tmp_path / "out.pth")
    with pytest.raises(WeightsError, match="there is no folder"):
        convert(tmp_path / "in.pth", tmp_path / "none" / "out.safetensors")
    with pytest.raises(WeightsError, match="no file"):
        convert(tmp_path / "none.pth", tmp_path / "out.safetensors")

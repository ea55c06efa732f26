import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pipeline.errors import NetworkError, WeightsError
from stages.nets.catalogue import NORMALISATIONS, NetSpec, build
from stages.nets.saved import load_net, save_net

SPEC = NetSpec("espnet", 5, {"p": 1, "q": 1}, *NORMALISATIONS["symmetric"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_net(tmp_path, build(SPEC.net, SPEC.classes, **SPEC.args), SPEC)
    return tmp_path


def edit_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def edit_state(folder: Path, drop: str | None = None, **values: torch.Tensor) -> None:
    path = folder / "model.safetensors"
    state = {key: value for key, value in load_file(path).items() if key != drop}
    save_file(state | values, path)


def test_the_files_are_plain(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert file.metadata() is None
    config = json.loads((folder / "config.json").read_text())
    assert config == SPEC.to_json() | {"aux_head": False}
    again = tmp_path_factory.mktemp("again")
    save_net(again, load_net(folder)[0], SPEC)
    for name in ("model.safetensors", "config.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_a_missing_key_is_named(folder: Path) -> None:
    edit_state(folder, drop="double1.weight")
    with pytest.raises(WeightsError, match=r"model\.safetensors .* lacks double1\.weight \(1 such"):
        load_net(folder)


def test_a_key_too_many_is_named(folder: Path) -> None:
    edit_state(folder, stray=torch.zeros(1))
    with pytest.raises(WeightsError, match="has stray, which the network has not"):
        load_net(folder)


def test_another_shape_is_named(folder: Path) -> None:
    edit_config(folder, classes=6)
    with pytest.raises(WeightsError, match=r"has \S+ as \(.*\), the network as \("):
        load_net(folder)


def test_weights_of_an_aux_head_that_the_config_denies(tmp_path: Path) -> None:
    spec = NetSpec("pspnet_resnet18", 3, {"width": 0.125}, *NORMALISATIONS["imagenet"])
    save_net(tmp_path, build(spec.net, spec.classes, **spec.args), spec)
    edit_config(tmp_path, aux_head=False)
    with pytest.raises(WeightsError, match=r"has aux_head\.\S+, which the network has not"):
        load_net(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_or_broken_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"{")
    with pytest.raises(WeightsError, match=name) as broken:
        load_net(folder)
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=name) as missing:
        load_net(folder)
    assert "\n" not in f"{broken.value}{missing.value}"


@pytest.mark.parametrize("values", [{"mean": [0.5]}, {"args": None}])
def test_a_config_that_describes_no_network(folder: Path, values: dict[str, object]) -> None:
    edit_config(folder, **values)
    with pytest.raises(WeightsError, match=r"config\.json does not describe a network"):
        load_net(folder)


def test_a_network_that_is_not_in_the_catalogue(folder: Path) -> None:
    edit_config(folder, net="espnot")
    with pytest.raises(NetworkError, match="espnet"):
        load_net(folder)

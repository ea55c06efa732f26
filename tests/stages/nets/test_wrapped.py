"""Somebody else's networks under the catalogue's contract, and on disk."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipeline.errors import NetworkError
from stages.nets.catalogue import NORMALISATIONS, NetSpec, build, build_unfilled
from stages.nets.saved import load_net, save_net

LRASPP = ("torchvision:lraspp_mobilenet_v3_large", {})
DEEPLAB_AUX = ("torchvision:deeplabv3_mobilenet_v3_large", {"aux_loss": True})
UNET = ("smp:Unet", {"encoder_name": "mobilenet_v2", "decoder_channels": [32, 16, 8, 8, 8]})
TIMM = ("smp:FPN", {"encoder_name": "tu-mobilenetv3_small_050"})
OWN, TIED = ("own_nets:Small", {"hidden": 4}), ("own_nets:Tied", {})
Network = tuple[str, dict[str, Any]]
CLASSES = 5


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def built(network: Network, seed: int = 0) -> Any:
    if network[0].startswith("smp:"):
        pytest.importorskip("segmentation_models_pytorch", reason="needs the extra smp")
    torch.manual_seed(seed)
    return build(network[0], CLASSES, **network[1])


@pytest.mark.parametrize("network", [LRASPP, DEEPLAB_AUX, UNET, TIMM, OWN, TIED], ids=lambda network: network[0])
def test_a_network_gives_logits_learns_and_comes_back_bit_for_bit(
    network: Network, tmp_path: Path, own_nets: Path
) -> None:
    net = built(network)
    outputs = net(images())
    assert outputs["logits"].shape[:2] == (2, CLASSES) and net.tap_channels == {"logits": CLASSES}
    assert set(outputs) == {"logits", "aux"} if net.aux_head is not None else {"logits"}
    sum(map_NChw.square().mean() for map_NChw in outputs.values()).backward()
    assert all(p.grad is not None for p in net.parameters())
    net.eval()
    spec = NetSpec(network[0], CLASSES, network[1], *NORMALISATIONS["imagenet"], {"backbone": "body.3"}, 8)
    save_net(tmp_path, net, spec)
    random_state = torch.get_rng_state()
    again, spec_again = load_net(tmp_path)
    assert torch.equal(torch.get_rng_state(), random_state), "loading drew random numbers"
    assert spec_again == spec and not again.training
    with torch.no_grad():
        assert torch.equal(net(images())["logits"], again(images())["logits"])


def test_files_hold_the_authors_own_keys(tmp_path: Path, own_nets: Path) -> None:
    net = built(OWN)
    save_net(tmp_path, net, NetSpec(*OWN[:1], CLASSES, OWN[1], *NORMALISATIONS["imagenet"]))
    state = load_file(tmp_path / "model.safetensors")
    assert set(state) == set(net.model.state_dict()) and "head.weight" in state
    assert json.loads((tmp_path / "config.json").read_text())["net"] == "own_nets:Small"


def test_the_seed_decides_the_start() -> None:
    first, same, other = (built(LRASPP, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not torch.equal(first["model.classifier.cbr.0.weight"], other["model.classifier.cbr.0.weight"])


def test_torchvisions_auxiliary_classifier_trains_and_stays_behind() -> None:
    net = built(DEEPLAB_AUX)
    assert net.aux_head is net.model.aux_classifier
    assert "aux" in net.train()(images()) and "aux" not in net.eval()(images())
    net.aux_head = None
    assert "aux" not in net.train()(images())
    assert not [key for key in net.state_dict() if "aux" in key]


def test_nothing_is_downloaded_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **settings: Any) -> None:
        raise ValueError("a download")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    built(("torchvision:lraspp_mobilenet_v3_large", {}))
    pytest.importorskip("segmentation_models_pytorch", reason="needs the extra smp")
    monkeypatch.setattr("segmentation_models_pytorch.encoders.hf_hub_download", refuse)
    args = {"encoder_name": "mobilenet_v2", "encoder_weights": "imagenet"}
    with pytest.raises(NetworkError, match=r"a download|Hugging Face"):
        build("smp:Unet", 3, **args)
    build_unfilled("smp:Unet", 3, args)
    build("smp:Unet", 3, encoder_name="mobilenet_v2")


@pytest.mark.parametrize("name", ["Small", "anything", "fixed"])
def test_the_number_of_classes_reaches_the_parameter_that_takes_it(own_nets: Path, name: str) -> None:
    net = build(f"own_nets:{name}", 7, hidden=4)
    assert net.model.head.weight.shape[:2] == (7, 4)


@pytest.mark.parametrize(
    ("net", "args", "told"),
    [
        ("own_nets:Small", {"hiden": 4}, r"unexpected keyword argument 'hiden'; it takes \(n_classes: int, hidden"),
        ("own_nets:nothing", {}, "gives a str, not an nn.Module"),
        ("own_nets:frozen", {}, "no parameter that could be trained"),
        ("own_nets:broken", {}, r"cannot be built with .*: RuntimeError: no such file \(own_nets.py:\d+\)$"),
        ("own_nets:number", {}, "own_nets has no function 'number'"),
        ("torchvision:fcn_resnet50", {"aux_los": True}, "takes no argument 'aux_los': did you mean 'aux_loss'"),
        ("torchvision:fcn_resnet50", {"width": 0.5}, "set for another network, args = {} takes it away"),
        ("torchvision:fcn_resnet50", {"weights": "DEFAULT"}, "args.weights is not the recipe's to give: name them in"),
        ("smp:Unet", {"encoder_name": "resnet"}, "no encoder_name 'resnet': did you mean 'resnet50'"),
        ("smp:Unet", {"encoder_name": "tu-resnet1"}, "no encoder_name 'tu-resnet1': did you mean 'tu-resnet"),
        ("smp:Unet", {"encoder": "resnet18"}, "takes no argument 'encoder': did you mean 'encoder_name'"),
        ("smp:Unet", {"classes": 3}, "args.classes is not the recipe's to give: the data decides it"),
        ("own_nets:Small", {"n_classes": 3}, "args.n_classes is not the recipe's to give: the data decides it"),
    ],
)
def test_mistakes_are_found_as_it_is_built(own_nets: Path, net: str, args: dict[str, Any], told: str) -> None:
    if net.startswith("smp:"):
        pytest.importorskip("segmentation_models_pytorch", reason="needs the extra smp")
    with pytest.raises(NetworkError, match=told) as caught:
        build(net, CLASSES, **args)
    assert "\n" not in str(caught.value)


def test_a_module_that_cannot_be_imported(own_nets: Path) -> None:
    (own_nets / "half.py").write_text("import nowhere\ndef net(classes): ...\n")
    with pytest.raises(NetworkError, match=r"importing half failed: ModuleNotFoundError: .*nowhere.* \(half.py:1\)"):
        build("half:net", CLASSES)

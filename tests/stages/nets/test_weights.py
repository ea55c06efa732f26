import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.models import get_model
from torchvision.models._api import WeightsEnum

from pipeline.errors import WeightsError
from stages.nets.catalogue import build
from stages.nets.weights import load_weights, require_whole


@pytest.fixture
def resnet18_file(tmp_path: Path) -> Path:
    torch.manual_seed(7)
    path = tmp_path / "resnet18.safetensors"
    save_file(get_model("resnet18", weights=None).state_dict(), path)
    return path


def test_imagenet_mobilenet_v2_fills_the_whole_backbone(shared: Path) -> None:
    path = shared / "weights" / "mobilenet_v2_imagenet.safetensors"
    net = build("pspnet_mobilenet_v2", 19)
    report = load_weights(net, path, "pspnet_mobilenet_v2", "matching")
    backbone = {key for key in net.state_dict() if key.startswith("backbone.")}
    assert set(report.loaded) == backbone
    assert {key.split(".")[0] for key in report.initial} == {"pyramid", "head"}
    assert set(report.skipped) == {key for key in load_file(path) if key.startswith(("features.18.", "classifier."))}
    assert report.skipped["classifier.1.weight"] == "the network has no such key"
    for key, tensor in load_file(path).items():
        if key not in report.skipped:
            assert torch.equal(net.state_dict()[f"backbone.{key}"], tensor), key


def test_a_deep_stem_takes_what_fits_and_says_what_not(resnet18_file: Path) -> None:
    torch.manual_seed(0)
    net = build("pspnet_resnet18", 19)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    report = load_weights(net, resnet18_file, "pspnet_resnet18", "matching")
    assert report.skipped["conv1.weight"] == "shape (64, 3, 7, 7), the network's is (64, 3, 3, 3)"
    assert "shape" in report.skipped["layer1.0.conv1.weight"]
    assert report.skipped["fc.bias"] == "the network has no such key"
    # The statistics of a batch norm say nothing about another convolution's output.
    assert report.skipped["bn1.running_mean"] == "its convolution backbone.conv1 was skipped"
    assert report.skipped["layer1.0.bn1.weight"] == "its convolution backbone.layer1.0.conv1 was skipped"
    assert "layer1.0.bn2.weight" not in report.skipped
    source = load_file(resnet18_file)
    assert set(source) == set(report.skipped) | {key.removeprefix("backbone.") for key in report.loaded}
    after = net.state_dict()
    for key in report.loaded:
        assert torch.equal(after[key], source[key.removeprefix("backbone.")]), key
    for key in report.initial:
        assert torch.equal(after[key], before[key]), key
    counters = {key for key in after if key.endswith("num_batches_tracked")}
    assert set(report.loaded) | set(report.initial) | counters == set(after)
    assert "backbone.conv3.weight" in report.initial and "backbone.layer1.0.downsample.0.weight" in report.initial


def test_report_is_plain_and_short(resnet18_file: Path) -> None:
    report = load_weights(build("pspnet_resnet18", 19), resnet18_file, "pspnet_resnet18", "matching")
    values = json.loads(json.dumps(report.to_json()))
    assert values["source"] == "resnet18.safetensors"
    assert values["loaded"] == list(report.loaded) and values["skipped"] == report.skipped
    taken, skipped, initial = report.lines()
    assert taken == (
        "resnet18.safetensors: 108 keys loaded, 98.28 % of backbone's parameters (weights_policy matching)"
    )
    assert skipped.startswith(
        "14 keys of resnet18.safetensors not used, first bn1.bias: its convolution backbone.conv1"
    )
    assert initial.startswith("60 keys stay at initialisation: backbone.conv1 (1), backbone.bn1 (4)")
    assert "head (2)" in initial


def test_own_keys_start_another_class_count(tmp_path: Path) -> None:
    source, net = (build("pspnet_resnet18", classes, width=0.125) for classes in (5, 7))
    save_file(source.state_dict(), tmp_path / "own.safetensors")
    report = load_weights(net, tmp_path / "own.safetensors", "pspnet_resnet18", "matching")
    classifiers = {f"{layer}.{kind}" for layer in ("head", "aux_head.4") for kind in ("weight", "bias")}
    assert set(report.skipped) == set(report.initial) == classifiers
    assert torch.equal(net.pyramid.fuse[0].weight, source.pyramid.fuse[0].weight)


def test_exact_takes_the_networks_own_file_and_nothing_else(tmp_path: Path) -> None:
    source, net, other = (build("pspnet_resnet18", classes, width=0.125) for classes in (5, 5, 7))
    own = {key: value for key, value in source.state_dict().items() if not key.endswith("num_batches_tracked")}
    save_file(own, tmp_path / "own.safetensors")
    report = load_weights(net, tmp_path / "own.safetensors", "pspnet_resnet18")
    assert (report.policy, report.share, report.initial) == ("exact", 1.0, ())
    assert torch.equal(net.head.weight, source.head.weight)
    told = r"own\.safetensors is not exactly pspnet_resnet18: 4 of its keys do not fit, 4 are missing \(aux_head\."
    with pytest.raises(WeightsError, match=told):
        load_weights(other, tmp_path / "own.safetensors", "pspnet_resnet18")
    save_file(own | {"stray": torch.zeros(1)}, tmp_path / "more.safetensors")
    with pytest.raises(
        WeightsError, match=r"1 of its keys do not fit, 0 are missing \(stray: the network has no such key"
    ):
        load_weights(net, tmp_path / "more.safetensors", "pspnet_resnet18")
    del own["head.bias"]
    save_file(own, tmp_path / "less.safetensors")
    with pytest.raises(
        WeightsError, match=r"0 of its keys .* 1 are missing \(head.bias is not in it\); weights_policy"
    ):
        load_weights(net, tmp_path / "less.safetensors", "pspnet_resnet18")


def test_the_share_counts_numbers_of_the_part_that_the_source_is_for(tmp_path: Path) -> None:
    """Two of three layers of a backbone fit, by far the smaller ones; what lies outside the backbone does not count."""
    net = nn.Module()
    net.backbone = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 4, 1), nn.Conv2d(4, 80, 1))
    net.head = nn.Conv2d(80, 500, 1)
    wide = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 4, 1), nn.Conv2d(4, 90, 1))
    save_file(wide.state_dict(), tmp_path / "wide.safetensors")
    small, all_of_it = (3 * 2 + 2) + (2 * 4 + 4), (3 * 2 + 2) + (2 * 4 + 4) + (4 * 80 + 80)
    report = load_weights(net, tmp_path / "wide.safetensors", "net", "matching", min_share=0.04)
    assert (report.part, report.share) == ("backbone.", small / all_of_it)
    told = (
        r"fills only 4\.8 % of the parameters in the backbone of net, .* is 0\.05 \(first missing: backbone\.2\.weight"
    )
    before = net.backbone[0].weight.clone()
    save_file({key: value + 1 for key, value in wide.state_dict().items()}, tmp_path / "wide.safetensors")
    with pytest.raises(WeightsError, match=told):
        load_weights(net, tmp_path / "wide.safetensors", "net", "matching", min_share=0.05)
    assert torch.equal(net.backbone[0].weight, before)


@pytest.mark.parametrize(
    ("net_name", "args", "backbone", "part"),
    [
        ("torchvision:lraspp_mobilenet_v3_large", {}, "mobilenet_v3_large", "backbone."),
        ("smp:Unet", {"encoder_name": "mobilenet_v2"}, "mobilenet_v2", "encoder."),
        ("smp:FPN", {"encoder_name": "tu-resnet18"}, "resnet18", "encoder.model."),
    ],
)
def test_a_backbones_file_fills_the_backbone_of_networks_from_outside(
    net_name: str, args: dict[str, str], backbone: str, part: str, tmp_path: Path
) -> None:
    if net_name.startswith("smp:"):
        pytest.importorskip("segmentation_models_pytorch", reason="needs the extra smp")
    save_file(get_model(backbone, weights=None).state_dict(), tmp_path / "backbone.safetensors")
    net = build(net_name, 19, **args)
    report = load_weights(net, tmp_path / "backbone.safetensors", net_name, "matching")
    assert (report.part, report.share) == (part, 1.0)
    assert all(key.startswith(part) for key in report.loaded)
    key = report.loaded[0]
    source = load_file(tmp_path / "backbone.safetensors")
    assert any(torch.equal(net.state_dict()[f"model.{key}"], tensor) for tensor in source.values())


def test_a_network_that_must_come_whole(tmp_path: Path) -> None:
    source, net = (build("pspnet_resnet18", 5, width=0.125) for _ in range(2))
    state = source.state_dict()
    save_file(state, tmp_path / "whole.safetensors")
    require_whole(net, load_weights(net, tmp_path / "whole.safetensors", "pspnet_resnet18"))
    assert net.aux_head is not None
    save_file({k: t for k, t in state.items() if not k.startswith("aux_head.")}, tmp_path / "no_aux.safetensors")
    require_whole(net, load_weights(net, tmp_path / "no_aux.safetensors", "pspnet_resnet18", "matching"))
    assert net.aux_head is None
    other = build("pspnet_resnet18", 7, width=0.125)
    report = load_weights(other, tmp_path / "whole.safetensors", "pspnet_resnet18", "matching")
    told = r"leaves 2 keys at initialisation, first head.weight: shape \(5, .*, the network's is \(7, "
    with pytest.raises(WeightsError, match=told):
        require_whole(other, report)


def test_nothing_fits(resnet18_file: Path) -> None:
    net = build("espnet", 19)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(WeightsError, match=r"nothing in resnet18\.safetensors fits espnet \(bn1\.") as caught:
        load_weights(net, resnet18_file, "espnet", "matching")
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_counters_alone_are_no_fit(tmp_path: Path) -> None:
    narrow = build("pspnet_resnet18", 19, width=0.125)
    save_file(get_model("resnet18", weights=None).state_dict(), tmp_path / "wide.safetensors")
    with pytest.raises(WeightsError, match="of the same backbone and width"):
        load_weights(narrow, tmp_path / "wide.safetensors", "pspnet_resnet18", "matching")


def test_a_file_that_is_not_there_or_no_safetensors(tmp_path: Path) -> None:
    net = build("espnet", 19)
    with pytest.raises(WeightsError, match=r"absent\.safetensors"):
        load_weights(net, tmp_path / "absent.safetensors", "espnet", "matching")
    (tmp_path / "text.safetensors").write_text("weights")
    with pytest.raises(WeightsError, match=r"text\.safetensors as safetensors"):
        load_weights(net, tmp_path / "text.safetensors", "espnet", "matching")


class Downloads:
    """A folder in the place of torchvision's server: the same code fetches, checks and reads its files."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        folder.mkdir()
        monkeypatch.setattr(torch.hub, "_hub_dir", str(folder / "hub"))

    def offer(self, state: object, digest: str | None = None) -> str:
        path = self.folder / "state.pth"
        torch.save(state, path)
        digest = digest or hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        address = path.rename(self.folder / f"state-{digest}.pth").as_uri()
        self.monkeypatch.setattr(WeightsEnum, "url", property(lambda weights: address))
        return address


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Downloads:
    return Downloads(tmp_path / "downloads", monkeypatch)


def test_torchvision_weights_are_fetched(downloads: Downloads) -> None:
    source = get_model("mobilenet_v2", weights=None).state_dict()
    address = downloads.offer(source)
    net = build("pspnet_mobilenet_v2", 19)
    report = load_weights(net, "torchvision", "pspnet_mobilenet_v2", "matching")
    assert report.source == address
    assert set(report.loaded) == {key for key in net.state_dict() if key.startswith("backbone.")}
    assert torch.equal(net.backbone.features[17].conv[2].weight, source["features.17.conv.2.weight"])


def test_a_download_with_another_hash_is_refused(downloads: Downloads) -> None:
    downloads.offer(get_model("mobilenet_v2", weights=None).state_dict(), digest="00000000")
    with pytest.raises(WeightsError, match=r"invalid hash value .*; give a safetensors file") as caught:
        load_weights(build("pspnet_mobilenet_v2", 19), "torchvision", "pspnet_mobilenet_v2", "matching")
    assert "\n" not in str(caught.value)


def test_a_download_that_runs_code_is_refused(downloads: Downloads) -> None:
    downloads.offer({"features.0.0.weight": Path("code")})
    with pytest.raises(WeightsError, match="Weights only load failed") as caught:
        load_weights(build("pspnet_mobilenet_v2", 19), "torchvision", "pspnet_mobilenet_v2", "matching")
    assert "\n" not in str(caught.value)


def test_a_server_that_does_not_answer(downloads: Downloads) -> None:
    address = downloads.offer({})
    (downloads.folder / address.rpartition("/")[2]).unlink()
    with pytest.raises(WeightsError, match=r"cannot get file:.*; give a safetensors file"):
        load_weights(build("pspnet_resnet18", 19), "torchvision", "pspnet_resnet18", "matching")


def test_weights_of_torchvision_by_their_full_name(downloads: Downloads) -> None:
    source = get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None).state_dict()
    address = downloads.offer(source)
    net = build("torchvision:lraspp_mobilenet_v3_large", 21)
    enum = "torchvision:LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1"
    report = load_weights(net, enum, "torchvision:lraspp_mobilenet_v3_large")
    assert (report.source, report.share, report.skipped) == (address, 1.0, {})
    assert torch.equal(net.model.classifier.high_classifier.bias, source["classifier.high_classifier.bias"])


def test_unknown_weights_of_torchvision_offer_the_nearest() -> None:
    with pytest.raises(WeightsError, match=r"no weights 'ResNet18_Weights.IMAGENET1K_V3': .*'ResNet18_Weights.IMAGE"):
        load_weights(build("espnet", 19), "torchvision:ResNet18_Weights.IMAGENET1K_V3", "espnet")


def test_a_network_from_outside_names_its_weights() -> None:
    with pytest.raises(
        WeightsError, match=r"no weights for torchvision:fcn.*torchvision:ResNet18_Weights.IMAGENET1K_V1"
    ):
        load_weights(nn.Conv2d(3, 3, 1), "torchvision", "torchvision:fcn_resnet50")


def test_torchvision_has_no_espnet() -> None:
    with pytest.raises(WeightsError, match="torchvision has no weights for espnet; give"):
        load_weights(build("espnet", 19), "torchvision", "espnet", "matching")

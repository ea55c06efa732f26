import json
import subprocess
import sys

import pytest

from pipeline.errors import NetworkError
from stages.nets.catalogue import NORMALISATIONS, NetSpec, build, modules_of, names


def test_every_name_has_a_module_and_is_built_lazily() -> None:
    code = (
        "import sys; from stages.nets.catalogue import modules_of, names; "
        "[modules_of(name, {}) for name in names()]; print('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
    assert modules_of("pspnet_resnet18", {}) == ("stages.nets.pspnet_resnet",)
    assert modules_of("espnet", {}) != modules_of("pspnet_mobilenet_v2", {})


def test_the_networks_of_the_paper_and_of_today_are_there() -> None:
    assert set(names()) == {
        *(f"{head}_resnet{depth}" for head in ("pspnet", "deeplabv3") for depth in (18, 34, 50, 101)),
        *(f"{head}_mobilenet_v2" for head in ("pspnet", "deeplabv3")),
        *(f"{head}_resnet101" for head in ("refinenet", "ocnet", "ocrnet", "ann")),
        *("espnet", "enet", "erfnet", "icnet_resnet50", "fcn_vgg16"),
        *("ddrnet_23_slim", "pidnet_s", "pp_liteseg_t", "pp_liteseg_b", "pspnet_resnet18_strided"),
    }


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(NetworkError, match=r"'pspnet_resnet8'.*pspnet_resnet18"):
        modules_of("pspnet_resnet8", {})
    with pytest.raises(NetworkError, match="espnet"):
        build("qqq", 19)


def test_an_unknown_argument_names_the_accepted_ones() -> None:
    with pytest.raises(NetworkError, match=r"espnet takes no argument 'width'; it takes p, q"):
        build("espnet", 19, width=0.5)
    with pytest.raises(NetworkError, match=r"pspnet_resnet18 takes no argument 'depth'; it takes width"):
        build("pspnet_resnet18", 19, depth=34)
    with pytest.raises(NetworkError, match=r"pspnet_resnet18: argument width is 'half'; give a number"):
        modules_of("pspnet_resnet18", {"width": "half"})


def test_arguments_of_another_network_are_cleared_by_one_setting() -> None:
    with pytest.raises(NetworkError, match=r"it takes p, q; if .*: --set 'distill\.student\.args=\{\}'$"):
        modules_of("espnet", {"width": 0.5}, "distill.student")


@pytest.mark.parametrize(
    ("net_name", "args"),
    [("pspnet_resnet18", {"width": 0}), ("pspnet_mobilenet_v2", {"width": -1}), ("espnet", {"q": 0})],
)
def test_arguments_that_leave_no_network(net_name: str, args: dict[str, float]) -> None:
    with pytest.raises(NetworkError, match=r"; give "):
        build(net_name, 19, **args)


def test_espnet_needs_a_class_for_each_branch() -> None:
    with pytest.raises(NetworkError, match="at least 5"):
        build("espnet", 4)


def test_spec_survives_json() -> None:
    spec = NetSpec("pspnet_resnet18", 19, {"width": 0.5}, *NORMALISATIONS["imagenet"])
    assert NetSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec

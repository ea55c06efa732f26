"""Names from outside the catalogue, checked without running what they name."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import NetworkError
from stages.nets.catalogue import choice, modules_of
from stages.nets.foreign import foreign, is_foreign

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def smp() -> None:
    pytest.importorskip("segmentation_models_pytorch", reason="needs the extra smp")


def test_a_colon_leads_out_of_the_catalogue() -> None:
    assert is_foreign("torchvision:fcn_resnet50") and is_foreign("nets:small")
    assert not is_foreign("pspnet_resnet18")


def test_torchvisions_networks_by_name() -> None:
    for name in ("lraspp_mobilenet_v3_large", "deeplabv3_resnet101", "fcn_resnet50"):
        assert foreign(f"torchvision:{name}").reference == name
    assert modules_of("torchvision:fcn_resnet50", {"aux_loss": True}) == ("stages.nets.torchvision_model",)
    assert choice("torchvision:fcn_resnet50")["versions"]["torchvision"]
    with pytest.raises(
        NetworkError, match=r"no network torchvision:lraspp_mobilenet: did you mean 'lraspp_mobilenet_v3"
    ):
        foreign("torchvision:lraspp_mobilenet")


def test_smp_architectures_by_name(smp: None) -> None:
    for name in ("Unet", "FPN", "Segformer", "DeepLabV3Plus"):
        assert foreign(f"smp:{name}").start_args == ("encoder_weights",)
    assert set(choice("smp:Unet")["versions"]) == {"segmentation-models-pytorch", "timm", "torchvision"}
    with pytest.raises(NetworkError, match="no network smp:UNet: did you mean 'Unet'"):
        foreign("smp:UNet")


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.nets.foreign.SMP_PACKAGE", "segmentation_models_absent")
    with pytest.raises(NetworkError, match=r"not installed: pip install -e '\.\[smp\]'"):
        foreign("smp:Unet")


def test_the_users_module_is_part_of_the_code(own_nets: Path) -> None:
    assert modules_of("own_nets:Small", {"hidden": 4}) == ("stages.nets.user_model", "own_nets")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("own_nets:Smal", "own_nets.py defines no 'Smal': did you mean 'Small'"),
        ("own_net:Small", "no module own_net in this folder or the environment"),
        ("own_nets.inner:Small", r"no module own_nets\.inner"),
        ("own_nets:", "module:function"),
        ("own_nets:Small:more", "module:function"),
        ("own nets:Small", "module:function"),
        ("../own_nets:Small", "module:function"),
    ],
)
def test_mistakes_in_a_users_name(own_nets: Path, name: str, told: str) -> None:
    with pytest.raises(NetworkError, match=told) as caught:
        foreign(name)
    assert "\n" not in str(caught.value)


def test_a_users_module_that_is_no_python(own_nets: Path) -> None:
    (own_nets / "torn.py").write_text("import torch\ndef small(classes:\n")
    with pytest.raises(NetworkError, match=r"torn:small: .*torn.py, line 2: '\(' was never closed"):
        foreign("torn:small")


def test_names_that_a_star_import_may_bring_are_left_to_the_run(own_nets: Path) -> None:
    (own_nets / "more.py").write_text("from own_nets import *\n")
    assert foreign("more:Small").code == ("more",)


def test_checking_names_runs_no_code_and_loads_no_torch(tmp_path: Path) -> None:
    package = tmp_path / "guarded"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('the package ran')\n")
    (package / "nets.py").write_text("raise SystemExit('the module ran')\ndef small(classes): ...\n")
    code = (
        "import sys; from stages.nets.catalogue import choice, modules_of\n"
        "for net in ('guarded.nets:small', 'torchvision:fcn_resnet50'): modules_of(net, {}), choice(net)\n"
        "print({'torch', 'torchvision', 'guarded'} & set(sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )
    assert shown.stdout.strip() == "set()", shown.stderr

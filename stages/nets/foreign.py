"""Networks from outside the catalogue, by name: how each is built, and whether the name exists. No torch.

- `torchvision:NAME`: a network of `torchvision.models.segmentation`.
- `smp:NAME`: an architecture of segmentation_models_pytorch (extra `smp`) with any of its encoders.
- `module:function`: any function or class that gives an nn.Module; its module is imported when it is built.

Names are looked up in the packages' source texts, so that a recipe is checked without running any of them.
"""

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import NetworkError
from pipeline.nearest import nearest
from stages.nets.sources import defined, find, folder_of, imported_from, public_functions

TORCHVISION, SMP = "torchvision", "smp"
SMP_PACKAGE = "segmentation_models_pytorch"


@dataclass(frozen=True)
class Foreign:
    """One such network."""

    builder: str
    """Module of this package that builds it, in a function of the module's own name."""
    reference: str
    """What the builder is told beside the user's arguments."""
    code: tuple[str, ...] = ()
    """Dotted modules of the user's whose code makes the network."""
    packages: tuple[str, ...] = ()
    """Distributions whose code makes the network: their versions count."""
    start_args: tuple[str, ...] = ()
    """Arguments that only choose the first weights; left out where a file will fill the network."""


def is_foreign(net: str) -> bool:
    """Whether a name stands outside the catalogue."""
    return ":" in net


def foreign(net: str) -> Foreign:
    """The network of a name with a colon; NetworkError for one that does not exist, with the nearest that do."""
    source, _, name = net.partition(":")
    if source == TORCHVISION:
        check_name(net, name, torchvision_names())
        return Foreign("torchvision_model", name, packages=("torchvision",))
    if source == SMP:
        check_name(net, name, smp_names())
        packages = ("segmentation-models-pytorch", "timm", "torchvision")
        return Foreign("smp_model", name, packages=packages, start_args=("encoder_weights",))
    check_function(net, source, name)
    return Foreign("user_model", net, code=(source,))


def check_name(net: str, name: str, known: list[str]) -> None:
    """NetworkError where `known` lacks the name."""
    if name not in known:
        raise NetworkError(f"no network {net}: {nearest(name, known)}")


def torchvision_names() -> list[str]:
    """The builders of `torchvision.models.segmentation`."""
    folder = folder_of("torchvision")
    if folder is None:
        raise NetworkError("torchvision is not installed: pip install torchvision")
    files = sorted((folder / "models" / "segmentation").glob("*.py"))
    return [name for file in files for name in public_functions(file)]


def smp_names() -> list[str]:
    """The architectures of segmentation_models_pytorch."""
    folder = folder_of(SMP_PACKAGE)
    if folder is None:
        raise NetworkError(f"{SMP_PACKAGE} is not installed: pip install -e '.[smp]'")
    return imported_from(folder / "__init__.py", "decoders")


def check_function(net: str, module: str, function: str) -> None:
    """NetworkError where `module:function` is malformed, or its source text shows that it is not there."""
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        raise NetworkError(
            f"{net!r} names no network: write torchvision:NAME, smp:NAME or module:function, e.g. my.nets:small"
        )
    spec = find(module)
    if spec is None:
        raise NetworkError(f"{net}: no module {module} in this folder or the environment; run where it can be imported")
    if spec.has_location and spec.origin and spec.origin.endswith(".py"):
        try:
            names = defined(Path(spec.origin))
        except SyntaxError as error:
            raise NetworkError(f"{net}: {spec.origin}, line {error.lineno}: {error.msg}") from None
        if names is not None and function not in names:
            raise NetworkError(f"{net}: {spec.origin} defines no {function!r}: {nearest(function, sorted(names))}")

"""No file is ever unpickled beyond its tensors: a downloaded checkpoint must not be able to run code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("pipeline", "stages", "export", "bench")
PICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
HARMLESS = {"UnpicklingError", "PicklingError", "PickleError"}
"""Exceptions of pickle, which readers that refuse code raise."""
WEIGHTS_ONLY = {"torch.load", "load_state_dict_from_url", "get_state_dict", "fabric.load", "fabric.load_raw"}
"""Readers that are safe with `weights_only=True` alone."""
NEVER = {"torch.jit.load", "torch.hub.load", "torch.package.PackageImporter", "torch.export.load", "read_pickle"}


def faults(source: str) -> Iterator[str]:
    """What in a module could unpickle, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"{node.lineno}: {a.name}" for a in node.names if a.name.partition(".")[0] in PICKLERS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PICKLERS:
            yield from (f"{node.lineno}: {a.name}" for a in node.names if a.name not in HARMLESS)
        elif isinstance(node, ast.ImportFrom) and node.module == "torch":
            yield from (f"{node.lineno}: {a.name}" for a in node.names if a.name == "load")
        elif isinstance(node, ast.Call):
            yield from call_faults(node)


def call_faults(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    keywords = {word.arg: ast.unparse(word.value) for word in call.keywords}
    if matches(name, NEVER):
        yield f"{call.lineno}: {name}"
    if matches(name, WEIGHTS_ONLY) and keywords.get("weights_only") != "True":
        yield f"{call.lineno}: {name} without weights_only=True"
    if keywords.get("allow_pickle", "False") != "False":
        yield f"{call.lineno}: {name} with allow_pickle"


def matches(name: str, wanted: set[str]) -> bool:
    return any(name == each or name.endswith(f".{each}") for each in wanted)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_can_unpickle(package: str) -> None:
    found = {str(p): list(faults(p.read_text(encoding="utf-8"))) for p in (ROOT / package).rglob("*.py")}
    assert found and {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "from torch import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "self.fabric.load(path)",
        "weights.get_state_dict(progress=False)",
        "torch.hub.load_state_dict_from_url(url)",
        "torch.jit.load(path)",
        "np.load(path, allow_pickle=True)",
        "pandas.read_pickle(path)",
    ],
)
def test_each_way_to_unpickle_is_found(source: str) -> None:
    assert len(list(faults(source))) == 1


def test_safe_readers_pass() -> None:
    source = "from pickle import UnpicklingError\ntorch.load(path, weights_only=True)\nnp.load(path)\njson.load(file)"
    assert list(faults(source)) == []

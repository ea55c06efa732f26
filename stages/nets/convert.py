"""Bring a checkpoint that `torch.save` wrote into safetensors: tensors alone, under the keys that a network has.

Nothing in the file is run: it is read with `weights_only=True`, and what needs more is refused.
"""

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.errors import WeightsError

WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "params", "weights")
"""Entries under which training programs keep the network, in the order in which they are looked for."""
PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every key."""
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
SUFFIX = ".safetensors"
INPLACE_ABN_EPS = 1e-5
"""The default of InPlaceABN, with which the public checkpoints were trained."""

State = dict[str, Tensor]


@dataclass(frozen=True)
class Conversion:
    """What became of a checkpoint."""

    source: str
    target: str
    inside: str
    """Dotted entry of the file in which the network lay; empty where the file is the network."""
    stripped: tuple[str, ...]
    """Prefixes that stood before every key and were taken off."""
    renamed: Mapping[str, int]
    """How many keys each `OLD=NEW` renamed."""
    dropped: Mapping[str, str]
    """Entry that is not in the target, to the type of its value."""
    batch_norms: int
    """Batch norms whose weight w became |w| + eps."""
    tensors: int
    parameters: int
    """Numbers in them, less the running statistics and counters of batch norms."""
    dtypes: Mapping[str, int]
    """Tensors of each dtype."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def convert(
    source: Path,
    target: Path,
    maps: Sequence[tuple[str, str]] = (),
    inside: str | None = None,
    inplace_abn_eps: float | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Read `source`, write `target` and return a `Conversion` as JSON values; WeightsError where that cannot be.

    `maps` are pairs (old, new) of dotted beginnings of keys, applied in order after the prefixes were taken off.
    `inside` names the entry that holds the network, where the known names do not find it. With `inplace_abn_eps`, the
    weight w of every batch norm becomes |w| + eps, since InPlaceABN scales by that and not by w.
    """
    check_target(source, target, force)
    entry, found, dropped = find_state(read(source), inside, source)
    state = tensors_of(found, source)
    dropped |= {str(key): type(value).__name__ for key, value in found.items() if key not in state}
    state, stripped = strip(state)
    state, renamed = rename(state, maps)
    norms = batch_norms(state) if inplace_abn_eps is not None else []
    if inplace_abn_eps is not None:
        absolute_weights(state, norms, inplace_abn_eps, source)
    write(state, target)
    return Conversion(
        source=str(source),
        target=str(target),
        inside=entry,
        stripped=stripped,
        renamed=renamed,
        dropped=dropped,
        batch_norms=len(norms),
        tensors=len(state),
        parameters=sum(t.numel() for key, t in state.items() if key.rpartition(".")[2] not in STATISTICS),
        dtypes=dict(Counter(str(t.dtype).removeprefix("torch.") for t in state.values())),
    ).to_json()


def check_target(source: Path, target: Path, force: bool) -> None:
    """WeightsError where the target may not be written."""
    if target.suffix != SUFFIX:
        raise WeightsError(f"{target}: the name of the new file must end in {SUFFIX}")
    if not target.parent.is_dir():
        raise WeightsError(f"{target}: there is no folder {target.parent}")
    if target.exists() and (not force or target.samefile(source)):
        raise WeightsError(f"{target} exists: give another name, or --force to replace it")


def read(path: Path) -> Any:
    """What a file holds, read without running anything in it."""
    if not path.is_file():
        raise WeightsError(f"no file {path}")
    try:
        with warnings.catch_warnings(action="ignore"):
            return load_file(path) if path.suffix == SUFFIX else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no checkpoint can make the reader fail in any way
        raise WeightsError(refusal(path, str(error))) from None


def refusal(path: Path, text: str) -> str:
    """Why a file cannot be read, in one line."""
    forbidden = re.search(r"GLOBAL ([\w.]+)|(TorchScript) archive", text)
    if forbidden:
        return (
            f"{path} holds more than tensors ({forbidden[1] or forbidden[2]}), and to read that would run code of the "
            "file: where it was made, save the weights alone: torch.save(model.state_dict(), 'weights.pth')"
        )
    # What torch says of pickles begins with advice that is of no use here.
    said = re.split(r"\.\s|\n", text.rpartition("WeightsUnpickler error: ")[2].strip())[0]
    return f"cannot read {path} as a checkpoint: {said or 'it is cut off'}; give a file that torch.save wrote"


def find_state(checkpoint: Any, inside: str | None, source: Path) -> tuple[str, Mapping[Any, Any], dict[str, str]]:
    """The entry that holds the network, its content, and the entries beside it with their types."""
    path = inside.split(".") if inside else known_path(checkpoint)
    beside: dict[str, str] = {}
    for depth, name in enumerate(path):
        below = checkpoint.get(name) if isinstance(checkpoint, Mapping) else None
        if not isinstance(below, Mapping):
            raise WeightsError(f"--inside {inside}: {source} has no {name!r} with a network in it; {offer(checkpoint)}")
        beside |= {".".join([*path[:depth], str(k)]): type(v).__name__ for k, v in checkpoint.items() if k != name}
        checkpoint = below
    if not isinstance(checkpoint, Mapping) or not any(isinstance(value, Tensor) for value in checkpoint.values()):
        raise WeightsError(f"{source} holds no network: {offer(checkpoint)}")
    return ".".join(path), checkpoint, beside


def known_path(checkpoint: Any) -> list[str]:
    """The known entries, one in the other, down to where the network should be."""
    path = []
    while isinstance(checkpoint, Mapping):
        name = next((name for name in WRAPPERS if isinstance(checkpoint.get(name), Mapping)), None)
        if name is None:
            break
        path.append(name)
        checkpoint = checkpoint[name]
    return path


def offer(checkpoint: Any) -> str:
    """What a file has in the place of a network."""
    if not isinstance(checkpoint, Mapping):
        return f"it is a {type(checkpoint).__name__}"
    mappings = [str(key) for key, value in checkpoint.items() if isinstance(value, Mapping)]
    if mappings:
        return f"choose one of its entries with --inside: {', '.join(mappings[:8])}"
    return f"its entries are {', '.join(map(str, list(checkpoint)[:8])) or 'none'}"


def tensors_of(found: Mapping[Any, Any], source: Path) -> State:
    """Every tensor under a string, as a copy of its own: two that share memory cannot be written."""
    state = {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, Tensor)}
    for key, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise WeightsError(f"{source}: {key} is a sparse or quantised tensor; save it dense, in floating point")
    return {key: t.detach().clone(memory_format=torch.contiguous_format) for key, t in state.items()}


def strip(state: State) -> tuple[State, tuple[str, ...]]:
    """Take off what stands before every key because of how the network was wrapped."""
    stripped = []
    while prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
        stripped.append(prefix)
    return state, tuple(stripped)


def rename(state: State, maps: Iterable[tuple[str, str]]) -> tuple[State, dict[str, int]]:
    """Replace dotted beginnings of keys, one pair after the other; returns how many keys each pair renamed.

    `a.b=c` makes `c.weight` of `a.b.weight` and leaves `a.bc.weight`. An empty side takes off or puts before.
    """
    counts = {}
    for old, new in maps:
        option, begin = f"--map {old}={new}", old.strip(".")
        matched = {key for key in state if not begin or key == begin or key.startswith(f"{begin}.")}
        if not matched:
            near = nearest_beginning(begin, state)
            raise WeightsError(f"{option}: no key begins with {begin!r}; the nearest is {near!r}")
        renamed: State = {}
        for key, tensor in state.items():
            target = joined(new, key[len(begin) :]) if key in matched else key
            if not target or target in renamed:
                fault = f"another one be {target!r} too" if target else "nothing be left of its name"
                raise WeightsError(f"{option}: with {key} renamed, {fault}")
            renamed[target] = tensor
        state = renamed
        counts[f"{old}={new}"] = len(matched)
    return state, counts


def joined(*parts: str) -> str:
    """Parts of a key with one dot between them."""
    return ".".join(stripped for part in parts if (stripped := part.strip(".")))


def nearest_beginning(wanted: str, keys: Iterable[str]) -> str:
    """The dotted beginning of a key that is most like `wanted`."""
    beginnings = {key.rsplit(".", cut)[0] for key in keys for cut in range(key.count(".") + 1)}
    return get_close_matches(wanted, sorted(beginnings), n=1, cutoff=0.0)[0]


def batch_norms(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the layers that have `weight`, `running_mean` and `running_var`, all vectors of one length."""
    layers = [key.removesuffix("running_mean") for key in state if key.rpartition(".")[2] == "running_mean"]

    def shapes(layer: str) -> set[torch.Size | None]:
        parts = (state.get(layer + name) for name in ("running_mean", "running_var", "weight"))
        return {part.shape if part is not None else None for part in parts}

    return [layer for layer in layers if shapes(layer) == {state[f"{layer}running_mean"].shape[:1]}]


def absolute_weights(state: State, layers: Sequence[str], eps: float, source: Path) -> None:
    """Write the scale |w| + eps that InPlaceABN uses where its layers keep w."""
    if not layers:
        raise WeightsError(f"--inplace-abn: {source} has no batch norm (weight, running_mean and running_var)")
    for layer in layers:
        state[f"{layer}weight"] = state[f"{layer}weight"].abs() + eps


def write(state: State, target: Path) -> None:
    """Write the file so that its name appears when it is whole."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        save_file(state, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)

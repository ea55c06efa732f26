"""What goes into a network: the shapes that it declares, free axes filled in, random values of the declared types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.deploy.engine_file import description_of
from export.runtimes.protocol import TensorSpec
from pipeline.errors import NetworkError

SEED = 0
IMAGE_RANK = 4
CHANNELS = (1, 3, 4)
"""Sizes by which the axis of an image's channels is told from its height and width."""
LARGEST_INDEX = 1
"""Whole numbers wider than a byte may be indices: they are 0 or 1."""


@dataclass(frozen=True)
class Ask:
    """What a command line says of free axes."""

    batch: int | None = None
    """Images an inference; None for a file's own batch, 1 where that is free."""
    size_px: tuple[int, int] | None = None
    """Height and width; None for a file's own."""
    axes: Mapping[str, int] = field(default_factory=dict)
    """Other free axes by name."""


def declared(path: Path) -> tuple[TensorSpec, ...]:
    """The inputs of an ONNX file; an axis that nobody named is `?`. NetworkError for a file that is none."""
    import onnx

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception as error:
        # protobuf's parsers raise classes of their own, one for each implementation.
        raise NetworkError(f"{path} is no ONNX file: {' '.join(str(error).split())}") from error
    filled_in = {weights.name for weights in graph.initializer}
    found = tuple(spec_of(value) for value in graph.input if value.name not in filled_in)
    if not graph.node:
        raise NetworkError(f"{path} is no ONNX file, or one without any operator")
    return found


def spec_of(value: Any) -> TensorSpec:
    """One input (an `onnx.ValueInfoProto`); NetworkError for one that is no tensor of numbers."""
    from onnx import TensorProto, helper

    tensor = value.type.tensor_type
    name = TensorProto.DataType.Name(tensor.elem_type) if tensor.elem_type else "no tensor"
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type) if tensor.elem_type else np.dtype(object)
    if dtype.kind not in "biuf" or dtype.isbuiltin != 1 or not tensor.HasField("shape"):
        raise NetworkError(f"input {value.name} is {name}: random values are made for tensors of numpy's numbers only")
    axes = tuple(axis.dim_value or axis.dim_param or "?" for axis in tensor.shape.dim)
    return TensorSpec(value.name, dtype.name, axes)


def declared_by_engine(plan: Path) -> tuple[TensorSpec, ...]:
    """The input of an engine, as its description tells it; NetworkError where there is none."""
    import json

    from export.runtimes.tensorrt_runtime import spec_of as engine_spec

    try:
        description = json.loads(description_of(plan).read_text(encoding="utf-8"))
        return (engine_spec(description["input"]),)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NetworkError(
            f"{description_of(plan)} cannot be read ({type(error).__name__}: {error}): an engine is run only where its "
            "description says what it was built from and on; build it with this project"
        ) from error


def feeds(specs: Sequence[TensorSpec], ask: Ask) -> dict[str, np.ndarray]:
    """Random arrays for the inputs, by name: floats in 0..1, bytes over their range, other whole numbers 0 or 1.

    NetworkError where a size is asked for and none of them is an image.
    """
    if ask.size_px and not any(len(spec.shape) == IMAGE_RANK for spec in specs):
        raise NetworkError(
            f"--size is of images, and {', '.join(map(written, specs)) or 'no input'} is none: use --dim"
        )
    rng = np.random.default_rng(SEED)
    return {spec.name: random(np.dtype(spec.dtype), shape(spec, specs, ask), rng) for spec in specs}


def random(dtype: np.dtype, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """An array of random values."""
    if dtype.kind == "f":
        return rng.random(shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.itemsize == 1:
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    return rng.integers(0, LARGEST_INDEX, shape, dtype=dtype, endpoint=True)


def shape(spec: TensorSpec, specs: Sequence[TensorSpec], ask: Ask) -> tuple[int, ...]:
    """The shape that an input is given; NetworkError for a fixed axis that disagrees, or a free one that nobody fills.

    `--batch` and `--size` speak of the images, the inputs of four axes; where there are none, `--batch` speaks of the
    first axis of the first input. Any other fixed axis stays as it is.
    """
    images = [one for one in specs if len(one.shape) == IMAGE_RANK]
    counted = spec in (images or specs[:1])
    wanted = {0: ask.batch} if counted and spec.shape else {}
    if spec in images and ask.size_px:
        wanted |= dict(zip(height_and_width(spec), ask.size_px, strict=True))
    return tuple(axis(spec, index, wanted.get(index), ask) for index in range(len(spec.shape)))


def axis(spec: TensorSpec, index: int, wanted: int | None, ask: Ask) -> int:
    """The size of one axis."""
    size = spec.shape[index]
    if isinstance(size, int):
        if wanted not in (None, size):
            raise NetworkError(f"{written(spec)} has {size} on axis {index} for good, not {wanted}: export it anew")
        return size
    if wanted is not None:
        return wanted
    if size in ask.axes:
        return ask.axes[size]
    if index == 0:
        return ask.batch or 1
    if len(spec.shape) == IMAGE_RANK and index in height_and_width(spec):
        raise NetworkError(f"{written(spec)} is free in height and width: give --size HEIGHTxWIDTH")
    if size == "?":
        raise NetworkError(f"{written(spec)} is free on axis {index} and gives it no name: export it with a name")
    raise NetworkError(f"{written(spec)} is free on axis {size}: give --dim {size}=SIZE")


def height_and_width(spec: TensorSpec) -> tuple[int, int]:
    """Axes of height and width: the last is the channels' where its size says so and the second's does not."""
    last = spec.shape[-1] in CHANNELS and spec.shape[1] not in CHANNELS
    return (1, 2) if last else (2, 3)


def written(spec: TensorSpec) -> str:
    """`input x (1 x 3 x height x width)`."""
    return f"input {spec.name} ({' x '.join(map(str, spec.shape))})"

"""What every runtime offers, so that parity, benchmarks and boards treat them alike. Python 3.10: it travels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from pipeline.errors import NetworkError

T = TypeVar("T")


@dataclass(frozen=True)
class TensorSpec:
    """An input or output; a dimension that may vary from call to call is its name."""

    name: str
    dtype: str
    """numpy's name, e.g. `uint8`."""
    shape: tuple[int | str, ...]


class Network(Protocol):
    """A loaded network of any inputs and outputs; a context manager, and unusable after `close`."""

    name: str
    """As of a `Runtime`."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Every output of one inference in their order, in host memory; `feeds` has an array for each input."""

    def close(self) -> None:
        """Release the network and its memory."""

    def __enter__(self) -> Network: ...

    def __exit__(self, *exception: object) -> None: ...


class Runtime(Protocol):
    """A loaded network that takes decoded pictures; a context manager, and unusable after `close`."""

    name: str
    """Runtime, version and device, e.g. `onnxruntime 1.31.1 CPUExecutionProvider`."""

    @property
    def input(self) -> TensorSpec: ...

    @property
    def output(self) -> TensorSpec: ...

    def predict(self, images_NHWC: np.ndarray) -> np.ndarray:
        """uint8 N x H x W x 3 RGB -> uint8 N x H x W labels, or float32 N x C x H x W logits.

        NetworkError where N, H or W is not what the network was made for.
        """

    def close(self) -> None:
        """Release the network and its memory."""

    def __enter__(self) -> Runtime: ...

    def __exit__(self, *exception: object) -> None: ...


class FileRuntime(ABC):
    """A `Network` from a file; a `Runtime` as well where it takes pictures and has one output."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    _file: str
    """For errors."""

    @property
    def input(self) -> TensorSpec:
        """The one input; NetworkError where there are more."""
        return only(self.inputs, "input", self._file)

    @property
    def output(self) -> TensorSpec:
        """The one output; NetworkError where there are more."""
        return only(self.outputs, "output", self._file)

    def predict(self, images_NHWC: np.ndarray) -> np.ndarray:
        """As `Runtime.predict`; the batch is the file's unless that is dynamic."""
        check_input(images_NHWC, self.input, self._file)
        assert len(self.outputs) == 1, "what takes pictures here has one output"
        return self.run({self.input.name: images_NHWC})[0]

    @abstractmethod
    def run(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """As `Network.run`."""

    @abstractmethod
    def close(self) -> None:
        """As `Network.close`."""

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@dataclass(frozen=True)
class GpuTimes:
    """Where the milliseconds of one inference on a GPU went."""

    compute_ms: float
    """Between two events around the network, copies left out."""
    enqueue_ms: float
    """What the CPU took to queue it."""
    to_device_ms: float
    """Copy of the input."""
    to_host_ms: float
    """Copy of the result."""


def only(specs: Sequence[TensorSpec], kind: str, network: str) -> TensorSpec:
    """The one of an input or output; NetworkError that lists them where there are more."""
    if len(specs) != 1:
        names = ", ".join(spec.name for spec in specs)
        raise NetworkError(f"{network} has {len(specs)} {kind}s ({names}): what takes pictures has one")
    return specs[0]


def check_input(images_NHWC: np.ndarray, spec: TensorSpec, network: str) -> None:
    """NetworkError that names both sizes where `images_NHWC` does not fit the network's input."""
    if images_NHWC.dtype != np.dtype(spec.dtype) or images_NHWC.ndim != len(spec.shape):
        raise NetworkError(
            f"{network} takes {spec.dtype} N x H x W x 3, not {images_NHWC.dtype} with "
            f"{images_NHWC.ndim} axes; give decoded RGB pictures"
        )
    pairs = zip(images_NHWC.shape, spec.shape, strict=True)
    if any(isinstance(wanted, int) and got != wanted for got, wanted in pairs):
        raise NetworkError(
            f"{network} takes {_sizes(spec.shape)} (images x height x width x channels), not "
            f"{_sizes(images_NHWC.shape)}; resize with stages.preprocess, or export at that size"
        )


def _sizes(shape: tuple[int | str, ...]) -> str:
    return " x ".join(str(size) for size in shape)

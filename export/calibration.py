"""The ranges of a network's tensors on real training images: what int8 is scaled by and fp16 is watched with."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod
from onnxruntime.quantization.calibrate import TensorsData, create_calibrator

from export.calibration_config import CalibrationConfig

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
CHUNK_IMAGES = 2
"""onnxruntime's calibrators keep every tensor of every image that they are handed in one go: 0.9 GiB an image at
512 x 1024 for PSPNet-R18."""


@dataclass(frozen=True)
class Ranges:
    """Smallest and largest value of tensors by name, and where they come from."""

    method: str
    images: int
    images_sha256: str
    """Over the names and contents of the images."""
    bounds: Mapping[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """calibration.json as plain values."""
        return asdict(self)

    def largest(self, name: str) -> float:
        """Largest absolute value of a tensor; 0 for one that was not measured."""
        low, high = self.bounds.get(name, (0.0, 0.0))
        return max(abs(low), abs(high))


class Reader:
    """Hands images to a calibrator one by one."""

    def __init__(self, images: Iterable[np.ndarray]) -> None:
        self.images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next image by the graph's input name; None after the last, as onnxruntime's calibrators ask for it."""
        image = next(self.images, None)
        return None if image is None else {"images": image}


def measure(
    model: onnx.ModelProto,
    images: Iterable[np.ndarray],
    config: CalibrationConfig,
    operators: tuple[str, ...] | None = None,
    on_images: Callable[[int], None] = lambda count: None,
) -> dict[str, tuple[float, float]]:
    """Bounds of the inputs and outputs of `operators` (None: of every float tensor), by tensor name.

    `images`: each uint8 n x H x W x 3 as the model takes it. `on_images(n)` is called as they are done.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            operators,
            augmented_model_path=str(Path(folder, "augmented.onnx")),
            calibrate_method=METHODS[config.method],
            extra_options={"percentile": config.percentile} if config.method == "percentile" else {},
        )
        for chunk in chunks(images, CHUNK_IMAGES):
            calibrator.collect_data(Reader(chunk))
            on_images(sum(len(image) for image in chunk))
        return bounds(calibrator.compute_data())


def chunks(images: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    """Lists of up to `size` items, read as they are needed."""
    rest = iter(images)
    while chunk := list(islice(rest, size)):
        yield chunk


def bounds(data: TensorsData) -> dict[str, tuple[float, float]]:
    """onnxruntime's ranges as plain numbers, by name: it lists them in another order in each process."""
    return {name: tuple(float(np.ravel(value)[0]) for value in data[name].range_value) for name in sorted(data.keys())}

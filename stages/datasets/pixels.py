"""Reading an image or a label of a sample into arrays."""

import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipeline.errors import DataError
from stages.datasets.index import Index, Sample
from stages.datasets.layout import IGNORE
from stages.datasets.top_rows import top_rows, top_rows_of_ids
from stages.preprocess import Preprocess, fit, nearest_resize, placement, read_image

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError)
"""What Pillow raises for files that are damaged or no pictures."""
TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)
"""What Pillow raises for a small file that would fill the memory."""
# As Pillow's manual advises: one limit, and an error instead of a line on stderr.
warnings.simplefilter("error", Image.DecompressionBombWarning)


def read_fitted_image(root: Path, sample: Sample, preprocess: Preprocess) -> np.ndarray:
    """The sample's image on the network's grid, uint8 H x W x 3; DataError naming an unreadable file."""
    try:
        return fit(read_image(root / sample.image), preprocess)
    except (*UNREADABLE, *TOO_LARGE) as error:
        raise unreadable(root / sample.image, error) from error


def read_label(root: Path, sample: Sample, label_map: tuple[int, ...]) -> np.ndarray:
    """Class ids of the sample's label at its own size, uint8 H x W; DataError naming an unreadable file."""
    if sample.label is None:
        raise DataError(f"{root / sample.image}: has no published label: it can be predicted, not scored or trained on")
    try:
        with Image.open(root / sample.label) as image:
            values_HW = np.asarray(image)
    except (*UNREADABLE, *TOO_LARGE) as error:
        raise unreadable(root / sample.label, error) from error
    return as_classes(values_HW, label_map)


def as_classes(values_HW: np.ndarray, label_map: tuple[int, ...]) -> np.ndarray:
    """Class ids for the pixel values of a label file, both uint8 H x W."""
    return cv2.LUT(values_HW, np.array(label_map, dtype=np.uint8))


def fit_label(labels_HW: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """A label on the network's grid by nearest, letterbox bars ignored."""
    top, left, height, width = placement(preprocess, labels_HW.shape)
    canvas_HW = np.full((preprocess.height, preprocess.width), IGNORE, dtype=np.uint8)
    canvas_HW[top : top + height, left : left + width] = nearest_resize(labels_HW, (height, width))
    return canvas_HW


def read_fitted(root: Path, sample: Sample, index: Index) -> tuple[np.ndarray, np.ndarray]:
    """Image (uint8 H x W x 3) and label (uint8 H x W, 255 = ignored) of a sample on the network's grid."""
    image_HWC = read_fitted_image(root, sample, index.preprocess)
    return image_HWC, fit_label(read_label(root, sample, index.label_map), index.preprocess)


def read_top(root: Path, sample: Sample, index: Index, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """`read_fitted`, of which only the first `rows` rows are asked for; cheaper where nothing has to be resized."""
    if (sample.height, sample.width) != index.size_px or sample.label is None:
        image_HWC, labels_HW = read_fitted(root, sample, index)
        return image_HWC[:rows], labels_HW[:rows]
    file = sample.image
    try:
        image_HWC = top_rows((root / file).read_bytes(), rows)
        file = sample.label
        values_HW = top_rows_of_ids((root / file).read_bytes(), rows)
    except (*UNREADABLE, *TOO_LARGE) as error:
        raise unreadable(root / file, error) from error
    return image_HWC, as_classes(values_HW, index.label_map)


def unreadable(path: Path, error: Exception) -> DataError:
    """The error for a file that is missing or damaged, in one line."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"no file {path}: is data.root the folder that the data stage read?")
    return DataError(f"{path}: {why_unreadable(error)}")


def why_unreadable(error: Exception) -> str:
    """Why Pillow refused a picture, and for a huge one what to do."""
    if isinstance(error, TOO_LARGE):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels, the limit for one picture: cut it into tiles"
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"cannot be read as a picture: {reason}"

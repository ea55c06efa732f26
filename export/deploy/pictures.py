"""Pictures on a board: files, folders and videos, each as decoded RGB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from export.deploy.choose import say
from pipeline.errors import DataError
from stages.preprocess import read_image

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm"}
VIDEOS = {".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v"}


def frames(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """(name, uint8 H x W x 3 RGB) of a picture, of every picture of a folder in order, or of a video's frames.

    DataError for a path that is none of these, a folder without pictures, or a file that cannot be read.
    """
    if path.is_dir():
        for file in picture_files(path):
            yield file.stem, read(file)
    elif path.suffix.lower() in VIDEOS:
        yield from video_frames(path)
    else:
        yield path.stem, read(path)


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder by name, not those of its subfolders, which are counted on stderr.

    DataError where there are none.
    """
    pictures = sorted(file for file in folder.rglob("*") if file.suffix.lower() in PICTURES)
    found = [file for file in pictures if file.parent == folder]
    below = len(pictures) - len(found)
    if not found:
        place = f", but {below} in its subfolders: give one of these" if below else ""
        raise DataError(f"{folder} holds no pictures ({', '.join(sorted(PICTURES))}){place}")
    if below:
        say(f"warning: {below} pictures in subfolders of {folder} are left out")
    return found


def read(path: Path) -> np.ndarray:
    """One picture; DataError naming a file that is missing or damaged."""
    try:
        return read_image(path)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a picture: {' '.join(str(error).split())}") from error


def video_frames(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Frames of a video through OpenCV, which nothing else here needs."""
    try:
        import cv2
    except ImportError as error:
        raise DataError(f"{path} is a video and OpenCV is not installed: pip install opencv-python-headless") from error
    capture = cv2.VideoCapture(str(path))
    try:
        number = 0
        while True:
            read_one, frame_HWC = capture.read()
            if not read_one:
                break
            yield f"{path.stem}-{number:06d}", np.ascontiguousarray(frame_HWC[..., ::-1])
            number += 1
        if number == 0:
            raise DataError(f"{path}: OpenCV reads no frame of it")
    finally:
        capture.release()

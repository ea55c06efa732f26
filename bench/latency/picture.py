"""The picture of an end-to-end measurement: the user's, the one that came with a bundle, or a synthetic scene."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.latency.models import Model
from export.deploy.pictures import read
from stages.preprocess import Preprocess

DEFAULT = Preprocess(512, 1024)
"""Size of the scene where no model tells one."""


def picture_for(models: Sequence[Model], given: Path | None, stack: ExitStack) -> Path:
    """Path of the picture; a scene is a PNG of the first model's size, in a folder that goes with the stack.

    DataError for a given file that is no picture.
    """
    if given is not None:
        read(given)
        return given
    came_along = [model.picture for model in models if model.picture is not None]
    if came_along:
        return came_along[0]
    folder = Path(stack.enter_context(TemporaryDirectory()))
    rules = [model.preprocess for model in models if model.preprocess is not None]
    return scene(folder / "scene.png", rules[0] if rules else DEFAULT)


def scene(path: Path, preprocess: Preprocess) -> Path:
    """Write the synthetic scene of a size."""
    from PIL import Image

    from export.golden import render_golden

    Image.fromarray(render_golden(preprocess)[0]).save(path)
    return path

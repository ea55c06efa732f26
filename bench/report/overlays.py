"""The report's pictures: the trained networks run over the evaluation split in torch."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from bench.collect import folders
from bench.report.pictures import Predict, worst_and_best
from export.deployed import Deployed
from export.runtimes.torch_runtime import TorchRuntime
from pipeline.stage import Context
from stages.datasets.index import read_index
from stages.nets.saved import load_net

SYNTHETIC = "synthetic"


def overlays(ctx: Context, inputs: Mapping[str, Path], split: str, wanted: bool) -> dict[str, Any] | None:
    """`pictures.worst_and_best` of the networks at hand; None where there are no pictures, or none to be shown.

    Pictures of other data than the synthetic are shown only where they are `wanted`: a report is passed around.
    """
    index = read_index(inputs["data"])
    if not index.samples(split) or not (wanted or (index.embedded and index.name == SYNTHETIC)):
        return None
    with ExitStack() as stack:
        predictors = {
            role: predictor(folder, index.size_px, ctx.device, stack) for role, folder in folders(inputs).items()
        }
        return worst_and_best(ctx, inputs["data"], split, predictors)


def predictor(folder: Path, size_px: tuple[int, int], device: str, stack: ExitStack) -> Predict:
    """A trained network as a function of one picture; open until the stack closes."""
    net, spec = load_net(folder)
    runtime = stack.enter_context(TorchRuntime(Deployed(net, spec, "labels"), spec, size_px, device))

    def predict(image_HWC: np.ndarray) -> np.ndarray:
        labels_HW: np.ndarray = runtime.predict(image_HWC[None])[0]
        return labels_HW

    return predict

"""What can be known of a training before anything is trained: what its device lacks, what its processes cannot share,
whether the maps that its terms read are there, and the split on which it is to be scored."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.errors import RecipeError, TrainingError
from pipeline.group.ranks import Group
from pipeline.nearest import nearest
from stages.datasets.index import read_index
from stages.nets.catalogue import build_unfilled
from stages.nets.config import NetConfig
from stages.nets.foreign import foreign, is_foreign
from stages.nets.keys import own_modules
from stages.training.batch_norm import check_statistics
from stages.training.compiled import require_compiler
from stages.training.config import OptimiserConfig, TrainingConfig
from stages.training.device import choose_device, resolve_precision
from stages.training.record.scalars import require_tensorboard
from stages.training.share import check_batch
from stages.training.start import device_of_crops

CLASSES = 2
"""The number of classes changes no tap."""


def check_training(where: str, config: OptimiserConfig, device: str, group: Group) -> None:
    """TrainingError for what device, processes and packages of this machine cannot do of what a training asks for.

    `where` is the stage, as the recipe names it.
    """
    check_batch(where, config, group)
    try:
        check_machine(config, device, group)
    except TrainingError as error:
        raise TrainingError(f"{where}: {error}") from error


def check_machine(config: OptimiserConfig, device: str, group: Group) -> None:
    """TrainingError for a device, a package or a compiler that is not there and that a config needs."""
    require_tensorboard(config.tensorboard)
    choose_device(device, group)
    resolve_precision(config.precision, device)
    if isinstance(config, TrainingConfig):
        check_statistics(config, device, group)
        device_of_crops(config.augment_on, device)
        if config.compile:
            require_compiler(device)


def check_val(where: str, config: TrainingConfig, inputs: Mapping[str, Path]) -> None:
    """TrainingError where val is to be scored while a network trains, and the data is there and has none to score."""
    if not config.validate_iterations or "data" not in inputs:
        return
    index = read_index(inputs["data"])
    if not index.labelled("val"):
        raise TrainingError(
            f"{where}.validate_iterations = {config.validate_iterations}: split val of {index.name} has no images with "
            "labels: leave it out"
        )


def check_taps(owner: str, config: NetConfig, taps: Iterable[tuple[str, str]]) -> None:
    """RecipeError for a tap that a network lacks, with the nearest; `taps` are pairs (where the recipe says it, tap).

    The network is built without values. A user's own is found out when its stage starts: that takes its author's code.
    """
    if is_foreign(config.net) and foreign(config.net).code:
        return
    net = build_unfilled(config.net, CLASSES, config.args)
    known = [*net.tap_channels, *config.taps, "aux"]  # type: ignore[misc]
    paths = own_modules(net)
    for where, tap in taps:
        if tap not in known and tap not in paths:
            raise RecipeError(
                f"{where}: the {owner}, {config.net}, has no tap {tap!r}: {nearest(tap, known)} "
                "(or the path of one of its modules)"
            )

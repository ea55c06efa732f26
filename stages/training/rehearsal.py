"""What can be known of a training before anything is trained: whether the maps that its terms read are there."""

from collections.abc import Iterable

from pipeline.errors import RecipeError
from pipeline.nearest import nearest
from stages.nets.catalogue import build_unfilled
from stages.nets.config import NetConfig
from stages.nets.foreign import foreign, is_foreign
from stages.nets.keys import own_modules

CLASSES = 2
"""The number of classes changes no tap."""


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

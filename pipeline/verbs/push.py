"""`push`: send artifacts to a remote store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.plan import Planner
from pipeline.verbs.remote_options import transfer_verb

if TYPE_CHECKING:
    from pipeline.remote.transfer import How, Transfer


@transfer_verb("push", "Send artifacts to a remote store.")
def command(planner: Planner, store_url: str, references: Sequence[str], how: How) -> Iterator[Transfer]:
    """Send artifacts to a remote store: those named, or every current one of the recipe.

    A REFERENCE is a stage, stage@digest or tag:name. What is there already is not sent again, and nothing there is
    overwritten.
    """
    from pipeline.remote.transfer import push
    from pipeline.remote.url import Absent, opened

    with opened(store_url, Absent.LEAVE if how.dry else Absent.MAKE) as remote:
        yield from push(planner, remote, references, how)

"""`pull`: fetch artifacts from a remote store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.plan import Planner
from pipeline.verbs.options import say
from pipeline.verbs.remote_options import transfer_verb

if TYPE_CHECKING:
    from pipeline.remote.transfer import How, Transfer


@transfer_verb("pull", "Fetch artifacts from a remote store.")
def command(planner: Planner, store_url: str, references: Sequence[str], how: How) -> Iterator[Transfer]:
    """Fetch artifacts from a remote store: those named, or every one that the recipe wants.

    A REFERENCE is a stage, whose artifact under this recipe is fetched alone, or stage@digest of any recipe. Every file
    is checked against its sha256. Where another artifact is current here under the same key, it stays so.
    """
    from pipeline.remote.transfer import pull
    from pipeline.remote.url import Absent, opened

    with opened(store_url, Absent.REFUSE) as remote:
        yield from pull(planner, remote, references, how, say)

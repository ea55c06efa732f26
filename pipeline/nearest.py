"""What to offer when a name is unknown."""

from collections.abc import Iterable
from difflib import get_close_matches

LISTED = 20


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for a close name, otherwise the list of all, cut where it is long."""
    known = tuple(known)
    close = get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return "choose one of " + ", ".join(known[:LISTED]) + more

"""Why a stage is not current: what differs between the components of an artifact and today's, one line each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.identity.fingerprint import Reached, chain

HASH_LENGTH = 64
SHOWN = 12
"""Characters of a hash that are printed."""
FIRST = 3
"""Changes of a stage that `status` lists; `explain` lists all."""
TO_BE_MADE = "to be made"


@dataclass(frozen=True)
class Change:
    """One leaf in which two sets of components differ."""

    component: str
    """First name: config, code, choices, inputs, sources, environment, stage, schema."""
    name: str
    """What below it, dotted; empty where the component itself is the leaf."""
    old: Any
    new: Any
    via: tuple[str, ...] = ()
    """For code: the imports by which the stage reaches the module."""
    follows: bool = False
    """Whether it is there because the config is another: under the old config it would not differ."""

    def text(self) -> str:
        """`config.lr: 0.03 -> 0.02`."""
        where = f"{self.component}.{self.name}" if self.name else self.component
        imports = f" ({' > '.join(self.via)})" if len(self.via) > 1 else ""
        return f"{where}: {short(self.old)} -> {short(self.new)}{imports}"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"text": self.text()}


def changes(
    old: Mapping[str, Any], new: Mapping[str, Any], reached: Mapping[str, Reached] | None = None
) -> list[Change]:
    """Every leaf in which two sets of components differ, settings before code, the cause before its effects."""
    order = {name: position for position, name in enumerate(("schema", "stage", "config", "choices", "sources"))}
    components = sorted({*old, *new}, key=lambda name: (order.get(name, len(order)), name))
    return [
        Change(component, name, a, b, via(component, name, reached))
        for component in components
        for name, a, b in leaves(old.get(component), new.get(component))
    ]


def causes_first(found: Sequence[Change], under_old_config: Sequence[Change]) -> tuple[Change, ...]:
    """The changes with those marked and put last that would not be there `under_old_config`."""
    remaining = {(change.component, change.name) for change in under_old_config}
    derived = ("choices", "code", "inputs")
    marked = [
        replace(change, follows=change.component in derived and (change.component, change.name) not in remaining)
        for change in found
    ]
    return tuple(sorted(marked, key=lambda change: change.follows))


def leaves(old: Any, new: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted name, old, new) of every leaf in which two values differ."""
    if old == new:
        return
    # A table that came or went as a whole is named by what is in it.
    old, new = ({} if a is None and isinstance(b, Mapping) else a for a, b in ((old, new), (new, old)))
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        yield where, old, new
        return
    for name in sorted({*old, *new}):
        yield from leaves(old.get(name), new.get(name), f"{where}.{name}" if where else name)


def via(component: str, name: str, reached: Mapping[str, Reached] | None) -> tuple[str, ...]:
    """How the stage comes to a changed module; nothing for a module that it no longer imports."""
    return chain(name, reached) if component == "code" and reached and name in reached else ()


def summary(found: Sequence[Change]) -> tuple[str, ...]:
    """The first few changes as text, and how many more there are; what follows from them is left out."""
    causes = [change.text() for change in found if not change.follows]
    more = len(causes) - FIRST
    return (*causes[:FIRST], f"and {more} more: see explain") if more > 0 else tuple(causes)


def source_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[Change]:
    """Which files outside the store differ, by name."""
    return [Change("sources", name, a, b) for name, a, b in leaves(old, new)]


def short(value: Any) -> str:
    """A leaf for one line: hashes cut to twelve characters."""
    text = "none" if value is None else str(value)
    plain = text.removeprefix("sha256:")
    is_hash = len(plain) == HASH_LENGTH and all(c in "0123456789abcdef" for c in plain)
    return plain[:SHOWN] if is_hash else text

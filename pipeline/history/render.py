"""Text of what the store remembers: differences, lineage, tags, what gc keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.identity.explain import SHOWN, short
from pipeline.render import figure, moment, quoted, size, table

if TYPE_CHECKING:
    from pipeline.history.diff import Change, Difference
    from pipeline.store.gc import Item
    from pipeline.store.store import Artifact

LISTED = 40
"""Rows of one group that are printed; --json has all."""


def cell(value: Any) -> str:
    """A value in one cell: hashes cut, numbers to four digits."""
    return short(figure(value) if isinstance(value, float) else value)


def diff_text(difference: Difference) -> str:
    """What differs, group by group, and the names of the groups that do not."""
    head = [[f"{side}:", *known(artifact)] for side, artifact in (("old", difference.old), ("new", difference.new))]
    lines = [table(("", "artifact", "made", "recipe"), head)]
    for name, changes in difference.groups.items():
        if changes:
            lines += ["", group_text(name, changes)]
    equal = [name for name, changes in difference.groups.items() if not changes]
    outputs = "equal" if difference.equal_outputs else "different"
    return "\n".join([*lines, "", f"outputs: {outputs}", *([f"equal: {', '.join(equal)}"] if equal else [])])


def known(artifact: Artifact) -> list[str]:
    """Cells by which an artifact is known."""
    manifest = artifact.manifest
    return [f"{manifest['stage']} {artifact.digest[:SHOWN]}", moment(manifest["created"]), manifest["recipe"]]


def group_text(name: str, changes: Sequence[Change]) -> str:
    """The rows of one group, numbers with their change."""
    rows = [(f"  {c.name}", cell(c.old), cell(c.new), signed(c.change)) for c in changes[:LISTED]]
    more = [f"  and {len(changes) - LISTED} more: see --json"] if len(changes) > LISTED else []
    return "\n".join([table((name, "old", "new", ""), rows), *more])


def signed(change: float | None) -> str:
    """A difference with its sign."""
    return "" if change is None else f"{change:+,}" if isinstance(change, int) else f"{change:+.4g}"


def lineage_text(tree: Mapping[str, Any]) -> str:
    """Both trees below the artifact."""
    lines = [node_text(tree["artifact"])]
    for direction, words in (("upstream", "made from"), ("downstream", "used by")):
        lines += ["", words, *(branches(tree[direction]) if tree[direction] else ["   nothing"])]
    return "\n".join(lines)


def branches(nodes: Sequence[Mapping[str, Any]], indent: str = "") -> Iterator[str]:
    """A line for each node, those below it indented."""
    for place, node in enumerate(nodes):
        last = place == len(nodes) - 1
        yield f"{indent}{'└─ ' if last else '├─ '}{node_text(node)}"
        yield from branches(node["below"], indent + ("   " if last else "│  "))


def node_text(node: Mapping[str, Any]) -> str:
    """One artifact in one line."""
    if node["state"] != "in store":
        words = {"gone": "no longer in this store", "skipped": "skipped"}
        return f"{node['stage']} {(node['digest'] or '')[:SHOWN]}".rstrip() + f"  {words[node['state']]}"
    if node["repeated"]:
        return f"{node['stage']} {node['digest'][:SHOWN]}  (see above)"
    summary = ", ".join(quoted(node["summary"]))
    cells = [f"{node['stage']} {node['digest'][:SHOWN]}", moment(node["created"]), node["recipe"], summary]
    cells += [f"[{', '.join(node['tags'])}]"] if node["tags"] else []
    if node["accepted"]:
        cells.append(f"accepted in place of key {node['accepted']['from_key'][:SHOWN]}: {node['accepted']['reason']}")
    return "  ".join(cell for cell in cells if cell)


def tags_text(tags: Mapping[str, Artifact | None]) -> str:
    """Every tag with what it names."""
    if not tags:
        return "no tags yet: python -m pipeline tag NAME REFERENCE"
    rows = [(name, *(known(artifact) if artifact else ["gone", "-", "-"])) for name, artifact in tags.items()]
    return table(("tag", "artifact", "made", "recipe"), rows)


def gc_text(items: Sequence[Item]) -> str:
    """What stays and why, then what goes."""
    ordered = sorted(items, key=lambda item: not item.keep)
    rows = [
        (verdict(item), item.what, item.name, moment(item.changed.isoformat()), size(item.bytes), reasons_text(item))
        for item in ordered
    ]
    return table(("", "", "name", "changed", "size", "why"), rows)


def verdict(item: Item) -> str:
    """What becomes of a folder."""
    return "keep" if item.keep else "moved" if item.moved else "would go"


def reasons_text(item: Item) -> str:
    """The first two reasons, and how many there are besides."""
    first = "; ".join(item.reasons[:2])
    return f"{first}; and {len(item.reasons) - 2} more" if len(item.reasons) > 2 else first

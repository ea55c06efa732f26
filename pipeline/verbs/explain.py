"""`explain`: why a stage is not current."""

from pathlib import Path
from typing import Any

import click

from pipeline.graph import matching
from pipeline.plan import MADE, SETTLED, Status
from pipeline.render import moment
from pipeline.verbs.options import planner_of, print_json, with_recipe


@click.command(name="explain", short_help="What changed since a stage was made: old -> new.")
@click.argument("stage")
@with_recipe
def command(stage: str, recipe: str, settings: tuple[str, ...], home: Path, as_json: bool) -> None:
    """What changed since STAGE was made last: old -> new, one line for each thing that counts.

    What differs only because the configuration does (the terms of another method, their code) stands below it.
    """
    statuses = planner_of(recipe, settings, home).statuses()
    told: set[str] = set()
    documents = [describe(statuses[name], statuses, told) for name in matching(stage)]
    if as_json:
        print_json(documents[0] if len(documents) == 1 else documents)
    else:
        click.echo("\n\n".join("\n".join(lines(document)) for document in documents))


def describe(status: Status, statuses: dict[str, Status], told: set[str]) -> dict[str, Any]:
    """State, what it was compared with, what changed in the stage itself, and in what it waits for.

    `told` names the stages that are described already: each is described once.
    """
    told.add(status.stage.name)
    waits = [name for name in status.needs if statuses[name].state not in SETTLED]
    compared = status.artifact if status.state in MADE else status.last
    return {
        "stage": status.stage.name,
        "state": str(status.state),
        "reasons": list(status.reasons),
        "compared_with": {"digest": compared.digest, "created": compared.manifest["created"]} if compared else None,
        "changes": [change.to_json() for change in status.changes],
        "waits_for": waits,
        "upstream": [describe(statuses[name], statuses, told) for name in waits if name not in told],
    }


def lines(document: dict[str, Any], indent: str = "") -> list[str]:
    """The document as text."""
    compared = document["compared_with"]
    beside = f", compared with {compared['digest'][:12]} of {moment(compared['created'])}" if compared else ""
    shown = [f"{indent}{document['stage']}: {document['state']}{beside}"]
    if document["waits_for"]:
        shown.append(f"{indent}  waits for {', '.join(document['waits_for'])}")
    shown += [f"{indent}  {change['text']}" for change in document["changes"] if not change["follows"]]
    following = [f"{indent}    {change['text']}" for change in document["changes"] if change["follows"]]
    shown += [f"{indent}  because of it:", *following] if following else []
    if len(shown) == 1:
        shown += [f"{indent}  {reason}" for reason in document["reasons"]]
    for upstream in document["upstream"]:
        shown += lines(upstream, indent + "  ")
    return shown

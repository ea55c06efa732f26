"""`doctor`: what this machine has, and what to do about what it lacks."""

from pathlib import Path

import click

from pipeline.doctor.finding import Level, examine
from pipeline.render import doctor_text
from pipeline.verbs.options import planner_of, print_json, with_recipe


@click.command(name="doctor")
@with_recipe
def command(recipe: str, settings: tuple[str, ...], home: Path, as_json: bool) -> int:
    """Look at machine, packages, GPU, runtimes, store and data. Exit code 1 only where the basics are broken."""
    findings = list(examine(planner_of(recipe, settings, home)))
    if as_json:
        print_json([finding.to_json() for finding in findings])
    else:
        click.echo(doctor_text(findings))
    return 1 if any(finding.level is Level.BROKEN for finding in findings) else 0

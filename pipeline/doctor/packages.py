"""Installed packages against what the project asked for when it was installed, and what a clone asks for now."""

import platform
import tomllib
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pipeline.doctor.finding import Finding, Level
from pipeline.facts import version
from pipeline.identity.fingerprint import ROOT
from pipeline.plan import Planner

PROJECT = "idd-pipeline"
OWN_USE = ("test",)
"""Extras that only those who work on the project need."""


def examine(planner: Planner) -> Iterator[Finding]:
    """Python, every package that is needed, every package of an extra, and by what they were judged."""
    try:
        about = metadata.metadata(PROJECT)
    except metadata.PackageNotFoundError:
        yield Finding(PROJECT, Level.BROKEN, "not installed", "pip install -e . in the clone")
        return
    yield python(about["Requires-Python"] or "")
    extras = [name for name in about.get_all("Provides-Extra") or () if name not in OWN_USE]
    for text in metadata.requires(PROJECT) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield needed(requirement)
        else:
            named = [name for name in extras if requirement.marker.evaluate({"extra": name})]
            yield from (optional(requirement, name) for name in named[:1])
    yield asked_by(ROOT / "pyproject.toml", metadata.requires(PROJECT) or ())


def asked_by(pyproject: Path, installed: Sequence[str]) -> Finding:
    """What the packages were held to: what pip noted when the project was installed, or a clone's newer wishes."""
    if not pyproject.is_file():
        return Finding("requirements", Level.OK, f"those of the installed {PROJECT} {version(PROJECT)}")
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {})
    wanted = {wish(text) for texts in (project.get("dependencies", ()), *extras.values()) for text in texts}
    differ = sorted(name for name, _ in wanted ^ {wish(text) for text in installed})
    if differ:
        found = f"{pyproject} and what was installed differ in {', '.join(dict.fromkeys(differ))}"
        return Finding("requirements", Level.WARNING, found, "pip install -e . in the clone")
    return Finding("requirements", Level.OK, f"those of {pyproject}")


def wish(text: str) -> tuple[str, str]:
    """Name and versions of a requirement, whatever its marker."""
    requirement = Requirement(text)
    return requirement.name.lower().replace("_", "-"), str(requirement.specifier)


def python(asked: str) -> Finding:
    """The interpreter."""
    found = platform.python_version()
    if SpecifierSet(asked).contains(found, prereleases=True):
        return Finding("Python", Level.OK, found)
    return Finding("Python", Level.BROKEN, found, f"the project needs {asked}: make a new environment")


def needed(requirement: Requirement) -> Finding:
    """A package without which the project does not run."""
    found = version(requirement.name)
    if found is None:
        return Finding(requirement.name, Level.BROKEN, "not installed", f"pip install '{spelled(requirement)}'")
    if not requirement.specifier.contains(found, prereleases=True):
        return Finding(requirement.name, Level.BROKEN, found, f"pip install '{spelled(requirement)}'")
    return Finding(requirement.name, Level.OK, found)


def optional(requirement: Requirement, extra: str) -> Finding:
    """A package of an extra."""
    found = version(requirement.name)
    name, advice = f"{requirement.name} [{extra}]", f"pip install -e '.[{extra}]' in the clone"
    if found is None:
        return Finding(name, Level.MISSING, "not installed", advice)
    if not requirement.specifier.contains(found, prereleases=True):
        return Finding(name, Level.WARNING, found, f"{spelled(requirement)} is served: {advice}")
    return Finding(name, Level.OK, found)


def spelled(requirement: Requirement) -> str:
    """The requirement as pip takes it, without its marker."""
    return f"{requirement.name}{requirement.specifier}"

"""The command line: the verbs by name, each loaded when it is called, and the exit codes."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import click

from pipeline.errors import USER_ERROR, PipelineError, RankError, RecipeError, StoreError
from pipeline.group.ranks import started
from pipeline.signals import exit_code, stop_on_sigterm
from pipeline.store.disk import as_full
from pipeline.verbs.lazy import LazyGroup
from pipeline.verbs.options import say

VERBS: Mapping[str, str] = MappingProxyType(
    {
        "run": "pipeline.verbs.run",
        "status": "pipeline.verbs.status",
        "explain": "pipeline.verbs.explain",
        "show": "pipeline.verbs.show",
        "verify": "pipeline.verbs.verify",
        "graph": "pipeline.verbs.graph",
        "accept": "pipeline.verbs.accept",
        "bundle": "pipeline.verbs.bundle",
        "data": "pipeline.verbs.data",
        "infer": "pipeline.verbs.infer",
        "report": "pipeline.verbs.report",
        "bench": "pipeline.verbs.bench",
        "recipes": "pipeline.verbs.recipes",
        "diff": "pipeline.verbs.diff",
        "lineage": "pipeline.verbs.lineage",
        "tag": "pipeline.verbs.tag",
        "gc": "pipeline.verbs.gc",
        "doctor": "pipeline.verbs.doctor",
        "push": "pipeline.verbs.push",
        "pull": "pipeline.verbs.pull",
        "import-weights": "pipeline.verbs.import_weights",
        "sweep": "pipeline.verbs.sweep",
    }
)
"""Verb to the dotted module that holds its click command as `command`."""
GROUP_VERB = "run"
"""The one that several processes may work on."""


@click.group(cls=LazyGroup, modules=VERBS)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Distil a segmentation network, export it, prove it and measure it."""
    if started().world > 1 and ctx.invoked_subcommand != GROUP_VERB:
        raise RecipeError(
            f"torchrun starts {started().world} processes, and {ctx.invoked_subcommand} is the work of one: "
            f"start it as python -m pipeline {ctx.invoked_subcommand}"
        )


def main() -> int:
    """Exit code 0; 2 and one line for a user's error; 130 for Ctrl-C, 143 for SIGTERM.

    Of the processes of a torchrun, rank 0 is the command; the others do as it says.
    """
    stop_on_sigterm()
    group = started()
    if not group.leads:
        from pipeline.group.follow import follow

        return follow(group)
    code = command()
    if group.world > 1 and code == 0:
        from pipeline.group.lead import end

        end()
    return code


def command() -> int:
    """Run the command line; returns its exit code."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort as error:
        # click makes one of a KeyboardInterrupt.
        return interrupted(error.__cause__ or error)
    except KeyboardInterrupt as error:
        return interrupted(error)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USER_ERROR
    except click.ClickException as error:
        say(f"error: {error.format_message()}")
        return USER_ERROR
    except PipelineError as error:
        return failed(error)
    except OSError as error:
        told = as_full(error, Path.cwd()) or unusable(error)
        for note in getattr(error, "__notes__", ()):
            told.add_note(note)
        return failed(told)
    return code if isinstance(code, int) else 0


def unusable(error: OSError) -> PipelineError:
    """What the system refused, in one line: a folder that cannot be made, a file that cannot be written."""
    if error.filename is None or error.strerror is None:
        raise error
    return StoreError(f"{error.filename}: {error.strerror}: give another path, or see to its permissions")


def failed(error: PipelineError) -> int:
    """Say what happened in one line, then what to do, unless another process has said it."""
    if isinstance(error, RankError):
        return USER_ERROR
    say(f"error: {error}")
    say_notes(error)
    return USER_ERROR


def interrupted(error: BaseException) -> int:
    """Say that nothing is lost, and how to go on."""
    say("interrupted: nothing half made was published")
    say_notes(error)
    return exit_code(error)


def say_notes(error: BaseException) -> None:
    """Print what was noted on an error on its way: the command that goes on."""
    for note in getattr(error, "__notes__", ()):
        say(note)

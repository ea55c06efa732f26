"""The exception tree. Every message is one line: what happened, where, and what to do next."""

from pathlib import Path

USER_ERROR = 2
"""Exit code of a command that one of them ended."""


class PipelineError(Exception):
    """Base of every error that a user can cause; the command line prints it and exits with 2."""


class RecipeError(PipelineError):
    """A recipe, a `--set` or a stage name is wrong."""


class DataError(PipelineError):
    """A data set is missing, incomplete or mislabelled; names the file."""


class NetworkError(PipelineError):
    """A network cannot be built, or cannot take the given input."""


class WeightsError(PipelineError):
    """A weights file does not fit the network."""


class TrainingError(PipelineError):
    """Training cannot go on: a term is not finite, a batch is too small."""


class RankError(PipelineError):
    """Another process of a torchrun failed, and has said why."""


class ParityError(PipelineError):
    """An exported form disagrees with the torch student beyond the recipe's limits."""


class StoreError(PipelineError):
    """An artifact is missing or is not what its manifest says."""


class CorruptError(StoreError):
    """A file of an artifact is not what its manifest says, or the manifest is none."""

    def __init__(self, folder: Path, file: str, problem: str) -> None:
        super().__init__(f"{folder} is corrupt: {file} {problem}; pull it again, or make it again with run --force")
        self.folder = folder
        self.file = file
        self.problem = problem


class DiskFullError(PipelineError):
    """There was no room for a file."""


class RemoteError(PipelineError):
    """A remote store cannot be reached or used, or what it holds is not what it says."""

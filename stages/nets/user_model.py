"""`module:function`: any network that the user can import."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from pipeline.errors import NetworkError
from pipeline.nearest import nearest
from stages.nets.faults import one_line
from stages.nets.sources import working_folder_first
from stages.nets.wrapped import Wrapped, construct

CLASSES_NAMES = ("classes", "num_classes", "n_classes")
"""Parameters under which a builder may take the number of classes."""


def user_model(classes: int, reference: str, /, **args: Any) -> Wrapped:
    """The nn.Module that `module:function` gives for `args` and the number of classes.

    The number goes to the parameter named `classes`, `num_classes` or `n_classes`; a builder that has none of them is
    called without, and its output must have as many channels all the same.
    """
    builder = imported(reference)
    parameter = classes_parameter(builder)
    if parameter in args:
        raise NetworkError(f"{reference}: args.{parameter} is not the recipe's to give: the data decides it")
    settings = ({parameter: classes} if parameter else {}) | args
    return Wrapped(reference, construct(reference, builder, settings), classes)


def imported(reference: str) -> Callable[..., Any]:
    """The function or class that `module:function` names; NetworkError where it cannot be had."""
    module_name, _, function_name = reference.partition(":")
    try:
        with working_folder_first():
            module = importlib.import_module(module_name)
    except Exception as error:
        raise NetworkError(f"{reference}: importing {module_name} failed: {one_line(error)}") from error
    found = getattr(module, function_name, None)
    if not callable(found):
        known = [name for name, value in vars(module).items() if callable(value)]
        raise NetworkError(
            f"{reference}: {module_name} has no function {function_name!r}: {nearest(function_name, known)}"
        )
    builder: Callable[..., Any] = found
    return builder


def classes_parameter(builder: Callable[..., Any]) -> str | None:
    """Name of the parameter that takes the number of classes; `classes` where only **kwargs could."""
    parameters = inspect.signature(builder).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    named = next((name for name in CLASSES_NAMES if name in parameters), None)
    return named or (CLASSES_NAMES[0] if open_ended else None)

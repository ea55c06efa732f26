"""Somebody else's network under the contract of the catalogue's."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from pipeline.errors import NetworkError, PipelineError
from pipeline.nearest import nearest
from stages.nets.faults import one_line

AUX_NAMES = ("aux_head", "aux_classifier")
"""Attributes under which a network may hold its auxiliary classifier; the second is torchvision's."""
LOGITS_NAMES = ("logits", "out")


class Wrapped(nn.Module):
    """A network that gives logits, as a tensor or in a dict under `logits` or `out`.

    Everything inside stays as its author has it: batch norms, dropout, initialisation. Its taps are its modules by
    path (`stages.nets.taps`). An auxiliary classifier is one that the network holds as `aux_head` or
    `aux_classifier` and whose logits stand under `aux` in its dict: it is trained by the auxiliary term, and
    `aux_head = None` drops it from what ships. Other outputs are not read.
    """

    key_prefix = "model."
    """What this class adds to the names of the network's own parameters and modules."""

    def __init__(self, name: str, model: nn.Module, classes: int) -> None:
        super().__init__()
        self.name = name
        self.model = model
        self.tap_channels = {"logits": classes}

    @property
    def aux_head(self) -> nn.Module | None:
        """The network's auxiliary classifier, or None."""
        found = (getattr(self.model, name, None) for name in AUX_NAMES)
        return next((module for module in found if isinstance(module, nn.Module)), None)

    @aux_head.setter
    def aux_head(self, nothing: None) -> None:
        """Only None can be set: it drops the classifier from what ships."""
        for name in AUX_NAMES:
            if isinstance(getattr(self.model, name, None), nn.Module):
                setattr(self.model, name, nothing)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """Normalised float images to `logits` N x classes x h x w; `aux` too in training mode, where there is one."""
        outputs = self.model(images_NCHW)
        maps = {"logits": self._logits(outputs)}
        if self.training and self.aux_head is not None:
            if not isinstance(outputs, Mapping) or "aux" not in outputs:
                raise NetworkError(f"{self.name} has an auxiliary head but gives no 'aux' in training")
            maps["aux"] = outputs["aux"]
        return maps

    def _logits(self, outputs: Any) -> Tensor:
        if isinstance(outputs, Mapping):
            outputs = next((outputs[name] for name in LOGITS_NAMES if name in outputs), outputs)
        if isinstance(outputs, Tensor):
            return outputs
        given = f"a dict of {', '.join(map(str, outputs))}" if isinstance(outputs, Mapping) else type(outputs).__name__
        raise NetworkError(
            f"{self.name} gives {given}: it must give logits N x C x h x w, alone or in a dict under 'logits' or 'out'"
        )


def construct(name: str, builder: Callable[..., Any], settings: Mapping[str, Any]) -> nn.Module:
    """`builder(**settings)`; NetworkError where it does not take them, fails, or gives no nn.Module."""
    try:
        inspect.signature(builder).bind(**settings)
    except TypeError as error:
        raise NetworkError(f"{name}: {error}; it takes {inspect.signature(builder)}") from None
    try:
        model = builder(**settings)
    except PipelineError:
        raise
    except Exception as error:
        raise NetworkError(f"{name} cannot be built with {dict(settings)}: {one_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise NetworkError(f"{name} gives a {type(model).__name__}, not an nn.Module")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise NetworkError(f"{name} has no parameter that could be trained")
    return model


def check_args(name: str, builder: Callable[..., Any], args: Mapping[str, Any], fixed: Mapping[str, str]) -> None:
    """NetworkError for an argument that a library's builder does not name, since it may drop it without a word.

    So too for one that the recipe does not choose: `fixed` maps it to what to do instead.
    """
    parameters = inspect.signature(builder).parameters.values()
    known = [each.name for each in parameters if each.kind is not each.VAR_KEYWORD and each.name not in fixed]
    for argument in args:
        if argument in fixed:
            raise NetworkError(f"{name}: args.{argument} is not the recipe's to give: {fixed[argument]}")
        if argument not in known:
            raise NetworkError(
                f"{name} takes no argument {argument!r}: {nearest(argument, known or ['none'])}; "
                "if it was set for another network, args = {} takes it away"
            )

"""`smp:NAME`: the architectures of segmentation_models_pytorch over any of its encoders."""

from typing import Any

from pipeline.errors import NetworkError
from pipeline.nearest import nearest
from stages.nets.wrapped import Wrapped, check_args, construct

FIXED = {
    "classes": "the data decides it",
    "in_channels": "images are RGB",
    "activation": "the losses read logits",
    "aux_params": "an image classifier has no labels here",
}
TIMM = "tu-"
"""Prefix by which segmentation_models_pytorch takes an encoder from timm."""


def smp_model(classes: int, reference: str, /, **args: Any) -> Wrapped:
    """The architecture `reference`, initialised at random unless `encoder_weights` asks for a download."""
    import segmentation_models_pytorch as smp

    name = f"smp:{reference}"
    architecture = getattr(smp, reference)
    check_args(name, architecture, args, FIXED)
    check_encoder(name, args.get("encoder_name"))
    settings = {"encoder_weights": None, "classes": classes, **args}
    return Wrapped(name, construct(name, architecture, settings), classes)


def check_encoder(name: str, encoder: Any) -> None:
    """NetworkError for an encoder that neither segmentation_models_pytorch nor, after `tu-`, timm has."""
    from segmentation_models_pytorch.encoders import get_encoder_names
    from timm import list_models

    if encoder is None:
        return
    from_timm = str(encoder).startswith(TIMM)
    known = [TIMM + each for each in list_models()] if from_timm else get_encoder_names()
    # timm's names may carry a tag of their weights after a dot.
    if str(encoder).partition(".")[0] not in known:
        raise NetworkError(f"{name}: no encoder_name {encoder!r}: {nearest(str(encoder), known)}")

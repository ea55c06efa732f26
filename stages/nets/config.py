"""How a recipe names a network."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, field_validator

from pipeline.stage import Mark, StageConfig
from stages.nets.catalogue import NORMALISATIONS, NetSpec

Scalar = bool | int | float | str
Published = Annotated[str, StringConstraints(pattern=r"^torchvision(:\w+\.\w+)?$")]


def none_if_said(value: Any) -> Any:
    """`none` for nothing, so that `--set` can take a recipe's weights away."""
    return None if value == "none" else value


class NetConfig(StageConfig):
    """Which network, and the weights that it starts from."""

    net: str
    """Name in the catalogue, e.g. `pspnet_resnet18`; `torchvision:NAME`, `smp:NAME` or `module:function`."""
    args: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    """Arguments of its builder, e.g. `{ width = 0.5 }`."""
    taps: dict[str, str] = Field(default_factory=dict)
    """Further maps for the loss terms: tap name to the path of the module that gives it, e.g.
    `{ backbone = "encoder.layer4" }`."""
    tap_stride: int | None = Field(None, ge=1)
    """Resizes every map that a term reads, but logits, to one cell for so many pixels; absent: as they are."""
    weights: Annotated[Published | Path | None, BeforeValidator(none_if_said), Mark.CONTENT] = None
    """safetensors file; `torchvision` for the backbone's ImageNet weights, or `torchvision:ENUM`, e.g.
    `torchvision:ResNet18_Weights.IMAGENET1K_V1`, downloaded by torchvision; absent or `none` for a random start."""
    weights_policy: Literal["exact", "matching"] = "exact"
    """`exact`: the weights have every key of the network and no other, in its shape. `matching`: those that fit are
    taken, the others reported."""
    weights_min_share: float = Field(0.9, gt=0, le=1)
    """Under `matching`: least share of the parameters (numbers, not keys) to be filled in the part of the network that
    the weights are for, its backbone or all of it."""
    normalise: Literal["imagenet", "symmetric"] = "imagenet"
    """Input scaling that the weights expect: ImageNet mean and std, or x/127.5 - 1."""

    @field_validator("taps")
    @classmethod
    def names_are_free(cls, taps: dict[str, str]) -> dict[str, str]:
        """ValueError for a tap that would take the place of an output."""
        if taken := {"logits", "aux"} & taps.keys():
            raise ValueError(f"{min(taken)} is an output of every network: choose another name")
        return taps

    def spec(self, classes: int) -> NetSpec:
        """Description of this network for `classes` classes, as artifacts carry it."""
        mean, std = NORMALISATIONS[self.normalise]
        return NetSpec(self.net, classes, dict(self.args), mean, std, dict(self.taps), self.tap_stride)

"""How a recipe names a network."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.stage import Mark, StageConfig
from stages.nets.catalogue import NORMALISATIONS, NetSpec


class NetConfig(StageConfig):
    """Which network, and the weights that it starts from."""

    net: str
    """Name in the catalogue, e.g. `pspnet_resnet18`."""
    args: dict[str, int | float] = Field(default_factory=dict)
    """Arguments of its builder, e.g. `{ width = 0.5 }`."""
    weights: Annotated[Path | Literal["torchvision"] | None, Mark.CONTENT] = None
    """safetensors file, `torchvision` for its ImageNet download, or absent for a random start."""
    normalise: Literal["imagenet", "symmetric"] = "imagenet"
    """Input scaling that the weights expect: ImageNet mean and std, or x/127.5 - 1."""

    def spec(self, classes: int) -> NetSpec:
        """Description of this network for `classes` classes, as artifacts carry it."""
        mean, std = NORMALISATIONS[self.normalise]
        return NetSpec(self.net, classes, dict(self.args), mean, std)

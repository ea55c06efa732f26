"""A distilled student's artifact, read for export."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from export.deployed import Deployed
from export.forms import Output
from export.sidecar import sha256
from stages.nets.catalogue import NetSpec
from stages.nets.saved import MODEL, load_net
from stages.preprocess import Preprocess


@dataclass(frozen=True)
class Student:
    """The network and everything that its files must say."""

    net: nn.Module
    spec: NetSpec
    preprocess: Preprocess
    classes: list[dict[str, Any]]
    """`id`, `name` and `rgb` of every class."""
    sha256: str
    """Of its weights file: what an exported file was made from."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width that the exported files take."""
        return self.preprocess.height, self.preprocess.width

    def deployed(self, output: Output) -> Deployed:
        """The network as it ships; all forms share its weights."""
        return Deployed(self.net, self.spec, output)

    def description(self) -> dict[str, Any]:
        """What sidecars and the files' own metadata repeat."""
        return {
            "classes": self.classes,
            "preprocess": self.preprocess.to_json(),
            "network": self.spec.to_json(),
            "student_sha256": self.sha256,
        }


def load_student(folder: Path) -> Student:
    """Read a folder that stage `distill` published; WeightsError where the weights do not fit."""
    net, spec = load_net(folder)
    preprocess = Preprocess.from_json(json.loads((folder / "preprocess.json").read_text(encoding="utf-8")))
    classes = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    return Student(net, spec, preprocess, classes, sha256(folder / MODEL))

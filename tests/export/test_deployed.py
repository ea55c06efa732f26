"""The module that ships."""

from pathlib import Path

import torch
from torch.nn import functional as F

from export.deployed import upsample
from export.student import load_student
from stages.nets.normalise import Normalise

RANDOM = torch.Generator().manual_seed(1)
IMAGES_NHWC = torch.randint(0, 256, (2, 48, 96, 3), dtype=torch.uint8, generator=RANDOM)


@torch.no_grad()
def test_logits_are_the_networks_own_resized_with_aligned_corners(student_folder: Path) -> None:
    student = load_student(student_folder)

    logits_NCHW = student.deployed("logits")(IMAGES_NHWC)

    spec = student.spec
    own_NChw = student.net(Normalise(spec.mean, spec.std)(IMAGES_NHWC))["logits"]
    assert own_NChw.shape[-2:] == (7, 13)
    wanted = F.interpolate(own_NChw, size=(48, 96), mode="bilinear", align_corners=True)
    assert logits_NCHW.dtype == torch.float32
    assert torch.equal(logits_NCHW, wanted)


@torch.no_grad()
def test_labels_are_the_largest_logit(student_folder: Path) -> None:
    student = load_student(student_folder)

    labels_NHW = student.deployed("labels")(IMAGES_NHWC)

    assert labels_NHW.dtype == torch.uint8
    assert torch.equal(labels_NHW, student.deployed("logits")(IMAGES_NHWC).argmax(dim=1).to(torch.uint8))
    assert len(labels_NHW.unique()) > 1


def test_the_aux_head_stays_behind(student_folder: Path) -> None:
    student = load_student(student_folder)
    student.net.aux_head = torch.nn.Conv2d(1, 1, 1)

    names = list(student.deployed("labels").state_dict())

    assert names and not any("aux_head" in name for name in names)


def test_logits_that_end_on_the_pictures_grid_are_left_alone() -> None:
    logits_NCHW = torch.rand(1, 3, 4, 6)

    assert upsample(logits_NCHW, (4, 6)) is logits_NCHW

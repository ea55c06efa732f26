"""A small published student and data set, as stages `data` and `distill` leave them."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from export import onnx
from export.limits import Limits
from pipeline.stage import Context
from stages import data
from stages.datasets.index import read_index
from stages.datasets.pixels import read_fitted_image
from stages.nets.catalogue import NORMALISATIONS, NetSpec, build
from stages.nets.normalise import Normalise
from stages.nets.saved import save_net

SIZE_PX = (48, 96)


class Bar:
    """Counts what a progress bar is told."""

    images = 0

    def step(self, images: int, terms: Mapping[str, float]) -> None:
        self.images += images


@contextmanager
def silent(title: str, total: int, done: int) -> Iterator[Bar]:
    yield Bar()


def make_context(folder: Path) -> Context:
    """A context whose work and scratch folders lie in `folder`; its log lines go to `log.txt` there."""
    for name in ("work", "scratch"):
        (folder / name).mkdir(parents=True)

    def log(line: str) -> None:
        with (folder / "log.txt").open("a", encoding="utf-8") as file:
            print(line, file=file)

    return Context(folder / "work", folder / "scratch", "cpu", {}, log, silent)


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return make_context(tmp_path / "stage")


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifact of stage `data`: five synthetic test images."""
    ctx = make_context(tmp_path_factory.mktemp("data"))
    config = data.Config(size_px=SIZE_PX, train_images=4, val_images=0, test_images=5)
    data.run(ctx, {}, config)
    return ctx.work


@pytest.fixture(scope="session")
def student_folder(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifact of stage `distill`: a thin PSPNet, random but for its batch norms, which have seen images."""
    folder = tmp_path_factory.mktemp("distill")
    index = read_index(data_folder)
    torch.manual_seed(0)
    spec = NetSpec("pspnet_resnet18", len(index.classes), {"width": 0.25}, *NORMALISATIONS["imagenet"])
    net = build(spec.net, spec.classes, **spec.args)
    images = [read_fitted_image(data_folder, s, index.preprocess) for s in index.samples("train")]
    images_NCHW = Normalise(spec.mean, spec.std)(torch.from_numpy(np.stack(images)))
    with torch.no_grad():
        for _ in range(20):
            net(images_NCHW)
        # Logits as far apart as a trained network's.
        net.head.weight.mul_(20)
    net.aux_head = None
    save_net(folder, net.eval(), spec)
    for name in ("labels.json", "preprocess.json"):
        shutil.copyfile(data_folder / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def onnx_folder(data_folder: Path, student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifact of stage `export.onnx` with its defaults, of fp32 alone."""
    ctx = make_context(tmp_path_factory.mktemp("onnx"))
    onnx.run(ctx, {"data": data_folder, "distill": student_folder}, onnx.Config(forms=("fp32",)))
    return ctx.work


@pytest.fixture(scope="session")
def forms_folder(data_folder: Path, student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifact of stage `export.onnx` in every form, all let through."""
    ctx = make_context(tmp_path_factory.mktemp("forms"))
    free = Limits()
    config = onnx.Config(fp16=free, int8=free, max_miou_drop=100)
    assert onnx.run(ctx, {"data": data_folder, "distill": student_folder}, config).failures == ()
    return ctx.work


DRIVER = """
#include <string.h>
int cuInit(unsigned flags) { return STATUS; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "Orin (nvgpu)", size); return 0; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
int cuDeviceGetAttribute(int *value, int number, int device) { *value = number == 75 ? 8 : 7; return 0; }
"""


@pytest.fixture(scope="session")
def stub_driver() -> Callable[[Path, int], None]:
    """Function that puts an NVIDIA driver of one GPU into a folder; its `cuInit` answers the given status."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc to compile a stub driver with")

    def compile_driver(folder: Path, status: int) -> None:
        source, library = folder / "cuda.c", folder / "libcuda.so.1"
        source.write_text(DRIVER.replace("STATUS", str(status)))
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)

    return compile_driver

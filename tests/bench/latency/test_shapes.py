"""What goes into a network of any inputs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.latency.shapes import Ask, declared, declared_by_engine, feeds
from export.runtimes.protocol import TensorSpec
from pipeline.errors import NetworkError

Make = Callable[..., Path]


def shapes(path: Path, ask: Ask) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in feeds(declared(path), ask).items()}


def test_fixed_axes_stay_and_types_are_the_declared(make_onnx: Make) -> None:
    path = make_onnx("a.onnx", x=("FLOAT16", [1, 3, 8, 16]), ids=("INT64", [5]), flag=("BOOL", [2]), byte=("INT8", [9]))
    arrays = feeds(declared(path), Ask())
    assert {name: (array.dtype.name, array.shape) for name, array in arrays.items()} == {
        "x": ("float16", (1, 3, 8, 16)),
        "ids": ("int64", (5,)),
        "flag": ("bool", (2,)),
        "byte": ("int8", (9,)),
    }
    assert set(arrays["ids"]) <= {0, 1}
    assert 0 <= arrays["x"].min() < arrays["x"].max() <= 1


@pytest.mark.parametrize(
    ("axes", "filled"),
    [
        (["n", 3, "h", "w"], (4, 3, 32, 64)),
        (["n", "h", "w", 3], (4, 32, 64, 3)),
        ([None, 3, None, None], (4, 3, 32, 64)),
        ([4, 3, 32, 64], (4, 3, 32, 64)),
    ],
)
def test_batch_and_size_fill_the_axes_of_an_image(make_onnx: Make, axes: list, filled: tuple[int, ...]) -> None:
    assert shapes(make_onnx("a.onnx", x=("FLOAT", axes)), Ask(4, (32, 64))) == {"x": filled}


def test_a_free_batch_is_one_where_nobody_says_otherwise(make_onnx: Make) -> None:
    assert shapes(make_onnx("a.onnx", x=("UINT8", ["n", 8, 8, 3])), Ask()) == {"x": (1, 8, 8, 3)}


def test_other_free_axes_are_filled_by_name_and_the_batch_everywhere(make_onnx: Make) -> None:
    path = make_onnx("a.onnx", ids=("INT64", ["n", "length"]), mask=("INT64", ["n", "length"]), scale=("FLOAT", []))
    assert shapes(path, Ask(2, None, {"length": 7})) == {"ids": (2, 7), "mask": (2, 7), "scale": ()}


def test_batch_and_size_do_not_touch_what_is_no_image(make_onnx: Make) -> None:
    path = make_onnx("a.onnx", x=("FLOAT", ["n", 3, "h", "w"]), scales=("FLOAT", [4]))
    assert shapes(path, Ask(2, (8, 16))) == {"x": (2, 3, 8, 16), "scales": (4,)}


@pytest.mark.parametrize(
    ("axes", "ask", "told"),
    [
        ([1, 3, 8, 16], Ask(2), "has 1 on axis 0 for good, not 2"),
        ([1, 3, 8, 16], Ask(None, (8, 8)), "has 16 on axis 3 for good, not 8"),
        (["n", 3, "h", "w"], Ask(), "free in height and width: give --size"),
        (["n", "length"], Ask(2, (8, 8)), r"--size is of images, and input x \(n x length\) is none: use --dim"),
        (["n", "length"], Ask(2), "free on axis length: give --dim length=SIZE"),
        ([1, None], Ask(), "free on axis 1 and gives it no name"),
    ],
)
def test_what_does_not_fit_is_told(make_onnx: Make, axes: list, ask: Ask, told: str) -> None:
    with pytest.raises(NetworkError, match=told):
        shapes(make_onnx("a.onnx", x=("FLOAT", axes)), ask)


@pytest.mark.parametrize("dtype", ["STRING", "BFLOAT16"])
def test_types_without_random_values_are_told(make_onnx: Make, dtype: str) -> None:
    with pytest.raises(NetworkError, match=f"input x is {dtype}"):
        declared(make_onnx("a.onnx", x=(dtype, [1])))


@pytest.mark.parametrize("content", [b"no network", b""])
def test_a_file_that_is_no_model_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "junk.onnx").write_bytes(content)
    with pytest.raises(NetworkError, match=r"junk\.onnx is no ONNX file"):
        declared(tmp_path / "junk.onnx")


def test_an_engine_is_described_by_the_file_beside_it(tmp_path: Path) -> None:
    plan = tmp_path / "a.plan"
    with pytest.raises(NetworkError, match=r"a\.plan\.json cannot be read"):
        declared_by_engine(plan)
    plan.with_name("a.plan.json").write_text('{"input": {"name": "x", "dtype": "uint8", "shape": [-1, 8, 8, 3]}}')
    assert declared_by_engine(plan) == (TensorSpec("x", "uint8", ("batch", 8, 8, 3)),)


def test_values_are_the_same_each_time(make_onnx: Make) -> None:
    specs = declared(make_onnx("a.onnx", x=("FLOAT", [1, 3, 8, 8])))
    np.testing.assert_array_equal(feeds(specs, Ask())["x"], feeds(specs, Ask())["x"])

"""An ONNX file that takes about as long as wanted here: a chain of convolutions."""

import time
from pathlib import Path

import numpy as np

from export.runtimes.onnx_runtime import OnnxRuntime

CHANNELS = 16
SIZE_PX = (64, 128)
PROBED_LAYERS = 8
PROBES = 15
OPSET, IR_VERSION = 18, 10


def convolutions(layers: int) -> bytes:
    """A model of so many convolutions with random weights: float32 1 x 3 x 64 x 128 -> 1 x 16 x 64 x 128."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights, nodes, value = [], [], "images"
    for layer in range(layers):
        channels_in = CHANNELS if layer else 3
        kernel = rng.standard_normal((CHANNELS, channels_in, 3, 3), dtype=np.float32) / (3 * channels_in**0.5)
        weights.append(numpy_helper.from_array(kernel, f"kernel{layer}"))
        nodes.append(helper.make_node("Conv", [value, f"kernel{layer}"], [f"sums{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"sums{layer}"], [f"maps{layer}"]))
        value = f"maps{layer}"
    sides = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, *SIZE_PX])
        for name, channels in (("images", 3), (value, CHANNELS))
    ]
    graph = helper.make_graph(nodes, "convolutions", sides[:1], sides[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


def images() -> dict[str, np.ndarray]:
    """What such a model takes."""
    return {"images": np.random.default_rng(0).random((1, 3, *SIZE_PX), dtype=np.float32)}


def write_taking(duration_ms: float, path: Path, threads: int) -> float:
    """Write a model that takes about `duration_ms` in onnxruntime on this machine; returns what it takes."""
    path.write_bytes(convolutions(PROBED_LAYERS))
    layers = max(1, round(PROBED_LAYERS * duration_ms / least_ms(path, threads)))
    path.write_bytes(convolutions(layers))
    return least_ms(path, threads)


def least_ms(path: Path, threads: int) -> float:
    """Shortest of some inferences: what it takes when nobody else is at work."""
    with OnnxRuntime(path, threads=threads) as runtime:
        feeds = images()
        runtime.run(feeds)
        taken = []
        for _ in range(PROBES):
            began = time.perf_counter()
            runtime.run(feeds)
            taken.append(1000 * (time.perf_counter() - began))
    return min(taken)

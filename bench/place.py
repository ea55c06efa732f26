"""Where a runtime of the stage `bench` computes."""

FIXED = {"tensorrt": "cuda", "openvino": "cpu"}
"""Runtimes that follow no setting."""


def place(runtime: str, device: str) -> str:
    """`cpu` or `cuda`: where `runtime` computes in a run on `device`."""
    return FIXED.get(runtime, device)

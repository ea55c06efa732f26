"""torch.compile: a missing compiler is told before the training, and a compiled network computes what it did."""

import shutil

import pytest
import torch

from pipeline.errors import TrainingError
from stages.training.compiled import compiled
from stages.training.device import start_fabric
from tests.stages.training.test_parts import Plain


def test_a_missing_compiler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("/no/compiler",))
    torch._dynamo.reset()
    with pytest.raises(TrainingError, match=r"compile = true does not work on this machine's cpu: .*C\+\+ compiler"):
        start_fabric("fp32", "cpu", 0, compile=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_a_compiled_network_gives_the_same_maps_and_gradients() -> None:
    start_fabric("fp32", "cpu", 0, compile=True)
    net = Plain(4)
    images = torch.randn(2, 3, 32, 32)
    found = []
    for call in (net, compiled(net)):
        net.zero_grad()
        maps = call(images)
        sum(each.square().mean() for each in maps.values()).backward()
        found.append((maps, [p.grad for p in net.parameters()]))
    torch.testing.assert_close(found[0], found[1])
    assert not any("compiled" in name or "_orig" in name for name in net.state_dict())

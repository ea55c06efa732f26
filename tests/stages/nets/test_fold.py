"""A batch norm goes into the convolution before it, unless something else would notice."""

import torch
from torch import Tensor, nn

from stages.nets.catalogue import NetSpec, build
from stages.nets.fold import fold_batch_norms, relative
from stages.nets.taps import add_taps

SIZE = (32, 48)


def unsettled(net: nn.Module) -> nn.Module:
    """In eval mode, with statistics and scales as if it had been trained."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return net.eval()


@torch.no_grad()
def change(net: nn.Module) -> tuple[int, float]:
    """Batch norms folded, and the largest relative change of a map of other images."""
    images = torch.randn(2, 3, *SIZE)
    before = net(images)
    folded = fold_batch_norms(net, SIZE)
    after = net(images)
    assert before.keys() == after.keys()
    return folded, max(relative(before[name], after[name]) for name in before)


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def test_a_pspnet_keeps_its_maps() -> None:
    net = unsettled(build("pspnet_resnet18", 5, width=0.25))
    net.aux_head = None
    before = norms(net)
    folded, changed = change(net)
    assert folded == before and norms(net) == 0
    assert changed < 1e-5


class Pair(nn.Module):
    """A convolution and a batch norm; `reads` says what else reads the convolution."""

    def __init__(self, reads: str = "nothing") -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.tap_channels = {"logits": 4}
        self.aux_head = None
        self.reads = reads

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        x = self.conv(images_NCHW)
        if self.reads == "relu in place":
            x = torch.relu_(x)
        y = self.norm(x)
        if self.reads == "sum":
            y = y + x
        if self.reads == "attribute":
            y = y * self.norm.weight.mean()
        return {"logits": self.norm(y) if self.reads == "norm twice" else y}


def test_a_pair_is_folded() -> None:
    folded, changed = change(unsettled(Pair()))
    assert folded == 1 and changed < 1e-5


def test_nothing_is_folded_where_something_else_reads_the_pair() -> None:
    for reads in ("sum", "attribute", "relu in place", "norm twice"):
        net = unsettled(Pair(reads))
        assert change(net) == (0, 0.0), reads
        assert isinstance(net.norm, nn.BatchNorm2d)


def test_a_tapped_module_is_left_as_it_is() -> None:
    for tap in ("conv", "norm"):
        net = unsettled(Pair())
        spec = NetSpec("pair", 4, {}, (0.5,) * 3, (0.5,) * 3)
        add_taps(net, spec, [tap], SIZE)
        assert change(net) == (0, 0.0)

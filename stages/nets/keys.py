"""Names of a network's parameters and modules as its author gave them, without what a wrapper adds."""

from collections.abc import Mapping

from torch import Tensor, nn


def prefix(net: nn.Module) -> str:
    """What stands before every name of the author's; empty for a network of the catalogue."""
    added: str = getattr(net, "key_prefix", "")
    return added


def own_state(net: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by the author's names; they share the network's memory."""
    return {key.removeprefix(prefix(net)): value for key, value in net.state_dict().items()}


def fill(net: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy values into the parameters and buffers of these names, all of which the network must have."""
    unknown = net.load_state_dict({prefix(net) + key: value for key, value in state.items()}, strict=False)
    assert not unknown.unexpected_keys


def own_modules(net: nn.Module) -> dict[str, nn.Module]:
    """Every module below the network by the author's path."""
    added = prefix(net)
    return {name.removeprefix(added): module for name, module in net.named_modules() if name.startswith(added) and name}

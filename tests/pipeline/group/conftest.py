"""A channel in this process's memory."""

import pytest


class Memory:
    """Texts by name, as the channel keeps them."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def read(self, name: str) -> str | None:
        return self.texts.get(name)

    def write(self, name: str, text: str) -> bool:
        return self.texts.setdefault(name, text) == text


@pytest.fixture
def memory() -> Memory:
    """An empty channel."""
    return Memory()

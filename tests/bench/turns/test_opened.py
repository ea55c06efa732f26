"""A model that candidates share."""

from contextlib import ExitStack

from bench.turns.opened import Opened


class Thing:
    """Counts what is open."""

    made: list["Thing"]

    def __init__(self) -> None:
        self.closed = 0
        Thing.made.append(self)

    def close(self) -> None:
        self.closed += 1


def test_it_is_opened_once_loaded_anew_and_closed_at_the_end() -> None:
    Thing.made = []
    with ExitStack() as stack:
        opened = Opened(Thing, stack)
        assert Thing.made == []
        first = opened()
        assert opened() is first
        opened.again()
        assert opened() is not first
        assert [thing.closed for thing in Thing.made] == [1, 0]
    assert [thing.closed for thing in Thing.made] == [1, 1]

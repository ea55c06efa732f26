"""A loop that pulls its batches makes one step a call."""

from collections.abc import Callable, Iterable, Iterator

import pytest

from bench.training.turnstile import Turnstile

Through = Callable[[Iterable[int]], Iterator[int]]


def test_one_call_is_one_step() -> None:
    steps: list[int] = []
    ended: list[bool] = []

    def loop(through: Through) -> None:
        for batch in through(range(100)):
            steps.append(batch)
        ended.append(True)

    turnstile: Turnstile = Turnstile(loop)
    assert steps == []
    turnstile()
    turnstile()
    assert steps == [0, 1]
    turnstile.close()
    assert steps == [0, 1] and ended == [True]


def test_what_the_loop_raises_reaches_the_caller() -> None:
    def fails_at_once(through: Through) -> None:
        raise ValueError("before the first batch")

    with pytest.raises(ValueError, match="before the first batch"):
        Turnstile(fails_at_once)

    def fails_in_a_step(through: Through) -> None:
        for batch in through(range(9)):
            if batch == 1:
                raise ValueError("in the second step")

    turnstile: Turnstile = Turnstile(fails_in_a_step)
    turnstile()
    with pytest.raises(ValueError, match="in the second step"):
        turnstile()
    turnstile.close()

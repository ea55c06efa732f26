"""Signals that are held back while a step ends."""

import os
import signal
import threading

import pytest

from pipeline.signals import HeldBack, Terminated


def send(number: int) -> None:
    # In this thread, at once: a signal to the process may reach another thread first.
    signal.raise_signal(number)


def test_the_first_signal_is_noted_and_the_second_raises() -> None:
    with pytest.raises(Terminated), HeldBack() as stop:
        send(signal.SIGTERM)
        assert isinstance(stop.asked, Terminated)
        send(signal.SIGINT)
        raise AssertionError("the second signal was held back too")


def test_ctrl_c_is_told_from_sigterm() -> None:
    with HeldBack() as stop:
        send(signal.SIGINT)
    assert type(stop.asked) is KeyboardInterrupt


def test_outside_signals_are_as_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), HeldBack() as stop, stop.at_once():
        send(signal.SIGINT)
    assert stop.asked is None
    assert signal.getsignal(signal.SIGINT) is before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with HeldBack() as stop:
            send(signal.SIGINT)
        assert stop.asked is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_holds_nothing_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    inside = []

    def work() -> None:
        with HeldBack() as stop:
            inside.append((signal.getsignal(signal.SIGTERM), stop.asked))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [(before, None)]


def test_a_forked_process_dies_of_sigterm_and_leaves_ctrl_c_to_its_parent() -> None:
    with HeldBack() as stop:
        child = os.fork()
        if child == 0:
            send(signal.SIGINT)
            send(signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    assert stop.asked is None

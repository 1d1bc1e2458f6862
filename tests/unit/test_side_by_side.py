"""Work side by side: results in their order, the first failure ends the rest, and signals are handed back."""

import os
import signal
import threading

import pytest

from salus.errors import EnvironmentFault, Refused
from salus.training.side_by_side import side_by_side


def test_results_come_in_the_order_of_the_works_whoever_ends_first():
    second_ended = threading.Event()

    def first(stop):
        assert second_ended.wait(10)
        return 1

    def second(stop):
        second_ended.set()
        return 2

    assert side_by_side({"first": first, "second": second}) == [1, 2]


def test_the_first_failure_ends_the_others_and_is_named():
    ended = []

    def going_on(stop):
        ended.append(stop.wait(5))
        raise EnvironmentFault("Received the end of a rank; expected its work.")

    def failing(stop):
        raise Refused("Received a number; expected another.")

    with pytest.raises(Refused, match=r"^fold 2: Received a number; expected another\.$"):
        side_by_side({"fold 1": going_on, "fold 2": failing})
    assert ended == [True]


def test_a_signal_ends_all_of_them_and_its_handler_is_put_back():
    before = signal.getsignal(signal.SIGTERM)

    def stopped(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        return stop.wait(10)

    assert side_by_side({"one": stopped, "other": lambda stop: stop.wait(10)}) == [True, True]
    assert signal.getsignal(signal.SIGTERM) is before

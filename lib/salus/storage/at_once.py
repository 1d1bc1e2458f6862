"""Several Spark actions at once: while one is planned, which keeps one core busy, another's tasks can run.

A night writes some dozen tables, most of them small; one after another, each costs its planning, its commit and the
wait between.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession

ACTIONS_AT_ONCE = 3

Result = TypeVar("Result")


def at_once(spark: SparkSession, actions: Sequence[Callable[[], Result]]) -> list[Result]:
    """What each of ``actions`` returns, in their order; they must not depend on one another.

    Raises:
        Exception: the first in order that an action raised, once all those that had begun have ended.
    """
    with ThreadPoolExecutor(ACTIONS_AT_ONCE, thread_name_prefix="salus-action") as pool:
        begun = [pool.submit(inheritable_thread_target(spark)(action)) for action in actions]
        try:
            return [each.result() for each in begun]
        finally:
            for each in begun:
                each.cancel()

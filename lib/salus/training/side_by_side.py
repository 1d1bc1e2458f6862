"""Several trainings at once in one Spark application, where the cluster has room for more ranks than one has.

Only the ranks run side by side. What Spark writes before and measures after has the whole cluster, one after another:
tasks of an export could keep slots from ranks that wait for each other.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from pyspark.sql import SparkSession

from salus.errors import Refused, SalusError
from salus.training.driver import stopped_by_signals

Each = TypeVar("Each")
Made = TypeVar("Made")


def room(spark: SparkSession, ranks: int) -> int:
    """How many trainings of ``ranks`` ranks the cluster can hold at once; at least 1.

    Spark counts the tasks that can run at once, by cores and, where tasks ask for them, by GPUs (the count by which it
    decides about barrier stages, ``SparkContext.maxNumConcurrentTasks``).
    """
    context = spark.sparkContext._jsc.sc()
    slots = context.maxNumConcurrentTasks(context.resourceProfileManager().defaultResourceProfile())
    return max(1, slots // ranks)


def in_turns(spark: SparkSession, works: Sequence[Each], ranks: int, asked: int | None) -> Iterator[Sequence[Each]]:
    """``works`` in groups that are to be trained side by side.

    Args:
        spark: the session.
        works: what is to be trained, in order.
        ranks: of each training.
        asked: how many at once; None = as many as there is room for, and 1 = one after another.

    Raises:
        Refused: there is no room for so many.
    """
    most = room(spark, ranks)
    if asked is not None and asked > most:
        raise Refused(
            f"Received {asked} trainings side by side of {ranks} ranks each; expected at most {most}, since all ranks "
            f"must run at once. Use --side-by-side {most} or fewer --ranks, or a master with more task slots."
        )
    size = asked or most
    return (works[start : start + size] for start in range(0, len(works), size))


def side_by_side(works: Mapping[str, Callable[[threading.Event], Made]]) -> list[Made]:
    """What each of ``works`` gives, all at once, in their order.

    Args:
        works: by what they are called in an error; each is told to end by the event that it is given.

    Raises:
        SalusError: that of the first that failed, with its name; the others were ended.
    """
    with stopped_by_signals() as stop, ThreadPoolExecutor(len(works), "salus-training") as threads:
        running = {name: threads.submit(work, stop) for name, work in works.items()}
        ended, _ = wait(running.values(), return_when=FIRST_EXCEPTION)
        failed = [name for name, each in running.items() if each in ended and each.exception()]
        if failed:
            stop.set()
    try:
        return [running[name].result() for name in failed or running]
    except SalusError as error:
        raise type(error)(f"{failed[0]}: {error}") from error

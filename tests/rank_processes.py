"""The processes that this test run started, down to Horovod's ranks and their guardians."""

import psutil

RANK = ["-m", "horovod.spark.task.gloo_exec_fn"]


def descendants():
    """Every living process that this one started, and that those started."""
    return {each for each in psutil.Process().children(recursive=True) if arguments(each)}


def ranks(processes=None):
    """Those of ``processes`` (default: of all descendants) that are ranks, by their number."""
    found = [each for each in processes or descendants() if arguments(each)[1:3] == RANK]
    return sorted(found, key=lambda rank: int(rank.environ()["HOROVOD_RANK"]))


def guardians(processes):
    """Those of ``processes`` that watch a rank."""
    return [each for each in processes if any(part.endswith("guardian.py") for part in arguments(each))]


def arguments(process):
    """Its command line; none where it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []

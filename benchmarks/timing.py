"""Timing of several ways to the same result: interleaved runs, medians, and a file that says where they ran.

Ways are run in turn (a, b, a, b, …), so that what else the machine does falls on all of them alike, and their
results are compared before a ratio is believed.
"""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "pyspark",
    "delta-spark",
    "petastorm",
    "pyarrow",
    "duckdb",
    "numpy",
    "pandas",
    "tensorflow-cpu",
    "keras",
    "horovod",
    "scikit-learn",
)


def compare(
    name: str,
    ways: Mapping[str, Callable[[], Any]],
    runs: int = 5,
    check: Callable[[Mapping[str, Any]], None] | None = None,
    warm: bool = True,
) -> dict[str, Any]:
    """Time each of ``ways`` ``runs`` times, in turn.

    Args:
        name: the question, for the result.
        ways: what to time; each returns its output. The first is the one that the others are compared with.
        runs: timed runs a way.
        check: called with the outputs of each round by way; raises where they are not the same.
        warm: run each way once untimed before.

    Returns:
        The seconds of every run, their medians, and ``times_faster``: how many times as fast the first way is as
        each other one, with hardware and versions.
    """
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for round_ in range(runs + warm):
        outputs = {}
        for way, call in ways.items():
            begun = time.perf_counter()
            outputs[way] = call()
            took = time.perf_counter() - begun
            if round_ >= warm:
                seconds[way].append(took)
        if check is not None:
            check(outputs)
    medians = {way: statistics.median(times) for way, times in seconds.items()}
    first = next(iter(ways))
    return {
        "name": name,
        "runs": runs,
        "outputs_compared": check is not None,
        "seconds": seconds,
        "median_seconds": medians,
        "times_faster": {way: medians[way] / medians[first] for way in ways if way != first},
        "first": first,
        **surroundings(),
    }


def show(result: Mapping[str, Any]) -> None:
    """Print ``result``'s medians and ratios as a table."""
    print(f"{result['name']} (medians of {result['runs']}, interleaved)")
    for way, median in result["median_seconds"].items():
        ratio = result["times_faster"].get(way)
        beside = "" if ratio is None else f"   {result['first']} is {ratio:.2f} times as fast"
        print(f"  {way:<40} {median:9.3f} s{beside}")


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Write ``result`` to benchmarks/results/``name``.json and return where."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2, sort_keys=True, default=float) + "\n", encoding="utf-8")
    return path


def surroundings() -> dict[str, Any]:
    """Hardware, versions, commit and time of a measurement."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "hardware": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": f"{platform.system()} {platform.release()}",
        },
        "versions": {
            "python": platform.python_version(),
            **{name: found for name in PACKAGES if (found := _version(name))},
        },
    }


def _processor():
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit():
    """HEAD, and that something else than results was changed since."""
    head = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", ":!benchmarks/results")
    return f"{head} and uncommitted changes" if changed else head or None


def _git(*arguments):
    done = subprocess.run(
        ["git", "-C", str(RESULTS.parents[1]), *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()

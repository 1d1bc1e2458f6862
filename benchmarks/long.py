"""Run the long suites, and leave what came of them in results/long.json.

They are the tests marked `slow`, a file of them at a time, the property tests on 1,000 examples each, and what is
measured on large populations or by training many times (its figures stand in results of its own): too long for every
change, so the commit and the machine that each last ran on stand beside its results. They take hours, so each is saved
when it ends; called again on the same commit, what has passed is not run again. Ends with 1 where a test failed, or a
measurement fell short of its bars.

    python benchmarks/long.py [PART ...]

A PART is of a suite's name (`make long`, without any, runs all of them): `numbers`, `properties`, `refits`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from timing import RESULTS, save, surroundings

CHECKOUT = Path(__file__).parents[1]
PROPERTIES = "the properties, on 1,000 examples each"
MEASURED = ("large_population.py", "refits.py", "pretraining.py")
SLOW = re.compile(r"\bmark\.slow\b")
COUNTS = ("passed", "failed", "skipped")


def main(argv=None) -> int:
    """Run each suite that has not passed on this commit, show and save its counts."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("part", nargs="*", help="only suites whose names hold one of these")
    asked = made.parse_args(argv).part
    ran = _before()
    here = surroundings()
    for name, suite in suites().items():
        if asked and not any(part in name for part in asked):
            continue
        if not (before := ran.get(name)) or before["failed"] or before["commit"] != here["commit"]:
            ran[name] = {**suite(), **{key: here[key] for key in ("commit", "measured_at")}}
            save("long", {"name": "the long suites", "suites": ran, **here})
        print(_line(name, ran[name]), flush=True)
    return 1 if any(suite["failed"] or not suite["passed"] for suite in ran.values()) else 0


def suites() -> dict[str, Callable[[], dict[str, Any]]]:
    """What runs each suite, by its name."""
    files = [path for path in sorted((CHECKOUT / "tests").rglob("test_*.py")) if SLOW.search(path.read_text("utf-8"))]
    slow = {str(path.relative_to(CHECKOUT / "tests")): partial(tested, {}, ["-m", "slow", str(path)]) for path in files}
    quick = ["-m", "not slow and not spark and not browser", "tests/unit"]
    return {
        **slow,
        PROPERTIES: partial(tested, {"SALUS_TEST_PROFILE": "long"}, quick),
        **{f"benchmarks/{program}": partial(measured, program) for program in MEASURED},
    }


def _before() -> dict[str, dict[str, Any]]:
    """The suites' results that are saved, of those that there still are."""
    path = RESULTS / "long.json"
    saved = json.loads(path.read_text(encoding="utf-8"))["suites"] if path.is_file() else {}
    return {name: suite for name, suite in saved.items() if name in suites()}


def tested(environment: dict[str, str], arguments: list[str]) -> dict[str, Any]:
    """The counts of a suite of tests, and how long each of its longest took (seconds)."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "results.xml"
        subprocess.run(
            [CHECKOUT / "submit.sh", "test", *arguments, f"--junitxml={found}"],
            env=os.environ | environment,
            check=False,
        )
        cases = list(ElementTree.parse(found).iter("testcase")) if found.exists() else []
    return _counted([(_name(case), _outcome(case), _seconds(case)) for case in cases], time.perf_counter() - begun)


def measured(program: str) -> dict[str, Any]:
    """The same of a benchmark, which is one case: it passes where it ends with 0."""
    begun = time.perf_counter()
    is_right = not subprocess.run([sys.executable, CHECKOUT / "benchmarks" / program], check=False).returncode
    seconds = time.perf_counter() - begun
    return _counted([(program, "passed" if is_right else "failed", seconds)], seconds)


def _counted(cases: list[tuple[str, str, float]], seconds: float) -> dict[str, Any]:
    outcomes = [outcome for _, outcome, _ in cases]
    return {
        "seconds": seconds,
        **{outcome: outcomes.count(outcome) for outcome in COUNTS},
        "failures": sorted(name for name, outcome, _ in cases if outcome == "failed"),
        "longest": [[name, took] for name, _, took in sorted(cases, key=lambda case: case[2])[-5:][::-1]],
    }


def _line(name, suite):
    counts = " ".join(f"{suite[outcome]:>5} {outcome}" for outcome in COUNTS)
    return f"{name:<42}{counts}   {suite['seconds'] / 60:.1f} min"


def _outcome(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def _name(case):
    return f"{case.get('classname')}::{case.get('name')}"


def _seconds(case):
    return float(case.get("time", 0))


if __name__ == "__main__":
    sys.exit(main())

"""Run the long suites, and leave what came of them in results/long.json.

They are the tests marked `slow`, a file of them at a time, and the property tests on 1,000 examples each: too long for
every change, so the commit and the machine that each last ran on stand beside its results. They take hours, so each is
saved when it ends; called again on the same commit, what has passed is not run again. Ends with 1 where a test failed.

    python benchmarks/long.py [PART ...]

A PART is of a suite's name (`make long`, without any, runs all of them): `numbers`, `properties`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from timing import RESULTS, save, surroundings

CHECKOUT = Path(__file__).parents[1]
PROPERTIES = "the properties, on 1,000 examples each"
SLOW = re.compile(r"\bmark\.slow\b")
COUNTS = ("passed", "failed", "skipped")


def main(argv=None) -> int:
    """Run each suite that has not passed on this commit, show and save its counts."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("part", nargs="*", help="only suites whose names hold one of these")
    asked = made.parse_args(argv).part
    ran = _before()
    here = surroundings()
    for name, (environment, arguments) in suites().items():
        if asked and not any(part in name for part in asked):
            continue
        if not (before := ran.get(name)) or before["failed"] or before["commit"] != here["commit"]:
            ran[name] = {**run(environment, arguments), **{key: here[key] for key in ("commit", "measured_at")}}
            save("long", {"name": "the long suites", "suites": ran, **here})
        print(_line(name, ran[name]), flush=True)
    return 1 if any(suite["failed"] or not suite["passed"] for suite in ran.values()) else 0


def suites() -> dict[str, tuple[dict[str, str], list[str]]]:
    """Each suite's environment, and what it asks of pytest."""
    files = [path for path in sorted((CHECKOUT / "tests").rglob("test_*.py")) if SLOW.search(path.read_text("utf-8"))]
    slow = {str(path.relative_to(CHECKOUT / "tests")): ({}, ["-m", "slow", str(path)]) for path in files}
    quick = ["-m", "not slow and not spark and not browser", "tests/unit"]
    return slow | {PROPERTIES: ({"SALUS_TEST_PROFILE": "long"}, quick)}


def _before() -> dict[str, dict[str, Any]]:
    """The suites' results that are saved, of those that there still are."""
    path = RESULTS / "long.json"
    saved = json.loads(path.read_text(encoding="utf-8"))["suites"] if path.is_file() else {}
    return {name: suite for name, suite in saved.items() if name in suites()}


def run(environment: dict[str, str], arguments: list[str]) -> dict[str, Any]:
    """The counts of one suite, and how long each of its longest tests took (seconds)."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "results.xml"
        subprocess.run(
            [CHECKOUT / "submit.sh", "test", *arguments, f"--junitxml={found}"],
            env=os.environ | environment,
            check=False,
        )
        cases = list(ElementTree.parse(found).iter("testcase")) if found.exists() else []
    outcomes = [_outcome(case) for case in cases]
    return {
        "seconds": time.perf_counter() - begun,
        **{outcome: outcomes.count(outcome) for outcome in COUNTS},
        "failures": sorted(_name(case) for case, outcome in zip(cases, outcomes) if outcome == "failed"),
        "longest": [[_name(case), _seconds(case)] for case in sorted(cases, key=_seconds)[-5:][::-1]],
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

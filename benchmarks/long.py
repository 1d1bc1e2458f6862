"""Run the long suites, and leave what came of them in results/long.json.

They are the tests marked `slow`, and the property tests on 1,000 examples each: too long for every change, so the
commit and the machine that they last ran on stand beside their results. Ends with 1 where a test failed.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from timing import save, surroundings

CHECKOUT = Path(__file__).parents[1]
SUITES = {
    "slow": ({}, ["-m", "slow"]),
    "properties": (
        {"SALUS_TEST_PROFILE": "long"},
        ["-m", "not slow and not spark and not browser", "tests/unit"],
    ),
}


def main() -> int:
    """Run each suite, show and save its counts."""
    suites = {name: run(environment, arguments) for name, (environment, arguments) in SUITES.items()}
    for name, suite in suites.items():
        print(
            f"{name:<12}{suite['passed']:>6} passed {suite['failed']:>4} failed {suite['skipped']:>4} skipped", end=""
        )
        print(f"   {suite['seconds'] / 60:.1f} min")
    save("long", {"name": "the long suites", "suites": suites, **surroundings()})
    return 1 if any(suite["failed"] or not suite["passed"] for suite in suites.values()) else 0


def run(environment: dict[str, str], arguments: list[str]) -> dict[str, Any]:
    """The counts of one suite, and how long each of its tests took (seconds, the longest first)."""
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
        **{outcome: outcomes.count(outcome) for outcome in ("passed", "failed", "skipped")},
        "failures": sorted(_name(case) for case, outcome in zip(cases, outcomes) if outcome == "failed"),
        "longest": [[_name(case), float(case.get("time", 0))] for case in sorted(cases, key=_seconds)[-10:][::-1]],
    }


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

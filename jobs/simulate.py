"""Simulate a population: files as an EHR, an insurer and a device platform leave them, and the truth beside them."""

import argparse
import sys
import time
from datetime import date
from pathlib import Path

from salus.job import run
from salus.simulate.population import PLANTS
from salus.simulate.writer import simulate


def main(argv=None):
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--people", type=int, default=5000, help="how many people (default: %(default)s)")
    made.add_argument("--seed", type=int, default=7, help="the same seed gives the same bytes (default: %(default)s)")
    made.add_argument(
        "--as-of",
        type=date.fromisoformat,
        default=date(2026, 6, 30),
        metavar="YYYY-MM-DD",
        help="the files hold nothing from this day on (default: %(default)s)",
    )
    made.add_argument("--out", type=Path, required=True, help="an empty folder, or one that is to be made")
    made.add_argument(
        "--plant",
        choices=PLANTS,
        help="order: an effect that only who keeps the order of events can see; treatment: care management for people "
        "at high risk, but for a randomised 5 %% of them; decline: months of higher risk of which only devices tell "
        "(default: nothing)",
    )
    args = made.parse_args(argv)
    began = time.monotonic()
    manifest = simulate(args.people, args.seed, args.as_of, args.out, args.plant)
    done = (
        "nothing new"
        if manifest is None
        else (
            f"{len(manifest['files'])} files · {sum(manifest['records'].values()):,} records · {args.people:,} people"
        )
    )
    print(f"{'simulate':<10} {time.monotonic() - began:7.1f} s   {done}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))

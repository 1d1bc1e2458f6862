"""How fast is a population simulated and written, on one core? At least 1,000 people a second."""

import os
import resource
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import median

import pyarrow as pa

from salus.simulate.writer import simulate
from timing import save, surroundings

PEOPLE = 20_000
RUNS = 3
FLOOR = 1000  # people a second


def main():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    rates, written = [], 0
    for run in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            manifest = simulate(PEOPLE, 7 + run, date(2026, 6, 30), Path(folder) / "out")
            rates.append(PEOPLE / (time.perf_counter() - began))
            written = sum(file["bytes"] for file in manifest["files"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {
        "name": "people simulated and written a second, one core",
        "people": PEOPLE,
        "runs": RUNS,
        "rates": rates,
        "median_people_a_second": median(rates),
        "floor": FLOOR,
        "bytes": written,
        "peak_memory_mb": peak,
        **surroundings(),
    }
    save("simulate", result)
    print(
        f"simulate: {median(rates):,.0f} people a second on one core ({median(rates) / FLOOR:.2f} times the floor), "
        f"{written / PEOPLE / 1000:.0f} kB a person, peak memory {peak:,.0f} MB"
    )
    return 0 if median(rates) >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())

"""How much of a score is chance? The demo's model, refitted with ten other seeds.

A demo as a newcomer starts it (./submit.sh demo), then `refits`: of the people held out, how far each one's probability
moves from refit to refit, and how many change their tier. There is no bar: it is what a reader of a score should know.

    python benchmarks/refits.py --people 20000
"""

import argparse
import subprocess
import sys
import tempfile
import time

from large_population import SUBMIT, TASK, demo, in_warehouse
from salus.session import spark_session
from salus.settings import load_settings
from salus.storage import Tables
from timing import save, surroundings


def main(argv=None) -> int:
    """Run the demo and the refits, print what came of them and keep it."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--people", type=int, default=20_000, help="simulated people (default: %(default)s)")
    made.add_argument("--seed", type=int, default=7, help="of the simulation (default: %(default)s)")
    made.add_argument("--refits", type=int, default=10, help="how many (default: %(default)s)")
    args = made.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="salus-refits-") as folder:
        warehouse = f"{folder}/warehouse"
        demo(warehouse, args.people, args.seed)
        begun = time.perf_counter()
        asked = [SUBMIT, "refits", f"--task={TASK}", f"--refits={args.refits}"]
        subprocess.run(asked, check=True, env=in_warehouse(warehouse))
        seconds = time.perf_counter() - begun
        spark = spark_session(load_settings(), name="benchmark")
        found = Tables(spark, warehouse).read("refits").where(f"task_id = '{TASK}'").orderBy("metric", "band").collect()
        spark.stop()
    kept = ("metric", "band", "value", "lowest", "highest", "people")
    result = {
        "name": f"{args.refits} refits of the demo's model, of {args.people:,} people",
        "people": args.people,
        "seed": args.seed,
        "refits": args.refits,
        "seconds": seconds,
        "held_out": [{name: row[name] for name in kept} for row in found],
        **surroundings(),
    }
    print(save("refits", result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

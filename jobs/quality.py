"""Check the data: conformance, completeness and plausibility of what came in, each check against its threshold."""

import sys

from salus.job import parser, run, spark_job
from salus.quality.quality import quality
from salus.quality.results import hold, table


def main(argv=None):
    """Run the checks of conf/quality and print what they found, what falls short first."""
    made = parser(__doc__)
    made.add_argument("--gate", action="store_true", help="end with code 3 where a check falls short, naming it")
    args = made.parse_args(argv)
    with spark_job("quality", args) as job:
        found = quality(job)
        print(table(found))
        if args.gate:
            hold(found)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))

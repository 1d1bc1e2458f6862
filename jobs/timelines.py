"""Make one timeline a person: events and coverage as arrays, with both clocks."""

import sys

from salus.job import parser, run, spark_job
from salus.timelines.build import build


def main(argv=None):
    """Build ``timelines`` and ``codes`` from what came in."""
    made = parser(__doc__)
    made.add_argument(
        "--vocabulary", metavar="DIR", help="OMOP's vocabulary files, to map codes by (SALUS_VOCABULARY; default: none)"
    )
    made.add_argument(
        "--ccs", metavar="DIR", help="AHRQ's CCS files, to tell planned admissions by (SALUS_CCS; default: none)"
    )
    args = made.parse_args(argv)
    with spark_job("timelines", args) as job:
        build(job)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))

"""Deliver a night's scores under the site's own patient list, to a protected folder outside the warehouse."""

import sys
from pathlib import Path

from salus.job import parser, run, spark_job
from salus.privacy.pseudonyms import read_key
from salus.privacy.worklist import deliver


def main(argv=None):
    """Write the worklist of ``--patients``, and log who asked."""
    made = parser(__doc__, task=True, as_of=True)
    made.add_argument(
        "--patients",
        type=Path,
        required=True,
        metavar="FILE",
        help="CSV: system, identifier, and what is carried along",
    )
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder that its owner alone may enter")
    made.add_argument("--site", help="the site whose identifiers they are (SALUS_SITE; default: conf/base.yml)")
    args = made.parse_args(argv)
    with spark_job("deliver", args) as job:
        key = read_key(job.settings.key_path)
        path = deliver(job, args.patients, args.out, args.task, args.as_of, key, job.settings.site)
        print(f"  worklist: {path}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))

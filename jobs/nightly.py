"""Take in what arrived, refresh the timelines, score everybody and report: the night, in one application."""

import sys

import ingest
import report
import score
import timelines
from salus.errors import Refused
from salus.job import parser, run, spark_job


def main(argv=None):
    """Run a night: ``--in SOURCE=DIR`` for each source that delivered."""
    made = parser(__doc__, task=True, as_of=True)
    made.add_argument(
        "--in",
        dest="inputs",
        action="append",
        default=[],
        metavar="SOURCE=DIR",
        type=delivery,
        help="a source of conf/sources and the folder of its files; once for each",
    )
    args = made.parse_args(argv)
    shared = [f"--warehouse={args.warehouse}"] if args.warehouse else []
    night = [*shared, f"--task={args.task}", f"--as-of={args.as_of}"]
    with spark_job("nightly", args, quiet=True):
        for source, folder in args.inputs:
            ingest.main([*shared, f"--source={source}", f"--input={folder}"])
        # Quality gates stand here: a source that is late, or unlike itself, holds the night (exit code 3).
        timelines.main(shared)
        score.main(night)
        # The publish gate stands inside score: what it holds is not published (exit code 3).
        report.main(night)
    return 0


def delivery(text):
    """SOURCE=DIR as a pair."""
    source, equals, folder = text.partition("=")
    if not (source and equals and folder):
        raise Refused(f"Received --in {text!r}; expected SOURCE=DIR, such as fhir_r4=/data/landing/ehr.")
    return source, folder


if __name__ == "__main__":
    sys.exit(run(main))

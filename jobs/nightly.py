"""Take in what arrived, check it, refresh the timelines, score everybody and report: a night, in one application."""

import sys

import ingest
import quality
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
    made.add_argument("--gate", action="store_true", help="score nobody where a check of the data falls short (code 3)")
    args = made.parse_args(argv)
    shared = [f"--warehouse={args.warehouse}"] if args.warehouse else []
    night = [*shared, f"--task={args.task}", f"--as-of={args.as_of}"]
    with spark_job("nightly", args, quiet=True):
        for source, folder in args.inputs:
            ingest.main([*shared, f"--source={source}", f"--input={folder}"])
        quality.main([*shared, *(["--gate"] if args.gate else [])])  # held: nobody is scored (exit code 3)
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

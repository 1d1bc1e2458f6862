"""Write a task's samples as a training data set, or everybody's events as a MEDS data set."""

import sys

from salus.cohorts.task import Task
from salus.datasets.export import export
from salus.datasets.meds import CLOCKS, export_meds
from salus.job import parser, run, spark_job
from salus.privacy.pseudonyms import read_key


def main(argv=None):
    """Fit the feature spec on the training split and write the data set; or write MEDS."""
    arguments = parser(__doc__, task=True)
    arguments.add_argument(
        "--format",
        choices=["petastorm", "meds"],
        default="petastorm",
        help="petastorm: model inputs, labels and weights by split; meds: all events (default: %(default)s)",
    )
    arguments.add_argument("--output", metavar="DIR", help="meds: the new folder to write into")
    arguments.add_argument(
        "--clock",
        choices=CLOCKS,
        default="time",
        help="meds: an event's time is when it happened, or when it was available (default: %(default)s)",
    )
    arguments.add_argument(
        "--shift-dates",
        action="store_true",
        help="meds: move all times of a person by as many days of their own, drawn from the site's key",
    )
    args = arguments.parse_args(argv)
    if (args.format == "meds") != bool(args.output):
        arguments.error("--output goes with --format meds")
    if args.shift_dates and args.format != "meds":
        arguments.error("--shift-dates goes with --format meds: model inputs hold no dates but the prediction's")
    task = Task.load(args.task)
    with spark_job("export", args) as job:
        if args.format == "meds":
            key = read_key(job.settings.key_path) if args.shift_dates else None
            export_meds(job, task, args.output, args.clock, key)
        else:
            export(job, task)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))

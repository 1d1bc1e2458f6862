"""Take in a delivery: every record of its files lands in the tables, or in quarantine with its reason."""

import sys
from datetime import UTC, datetime

from salus.job import parser, run, spark_alone, spark_job
from salus.privacy.pseudonyms import create_key, read_key
from salus.sources.check import check
from salus.sources.ingest import ingest
from salus.sources.loading import load_source
from salus.sources.tables import delivery


def main(argv=None):
    arguments = parser(__doc__)
    arguments.add_argument("--source", required=True, help="a source in conf/sources, e.g. fhir_r4")
    arguments.add_argument("--input", metavar="DIR", help="folder of the delivery's files, or a database's address")
    arguments.add_argument(
        "--check",
        action="store_true",
        help="only say whether the source is sound and, with --input, which events its first records give",
    )
    arguments.add_argument("--site", help="the site whose data this is (SALUS_SITE; default: conf/base.yml)")
    arguments.add_argument("--create-key", action="store_true", help="make the site's key where there is none yet")
    arguments.add_argument(
        "--delivered-at",
        type=_instant,
        metavar="TIMESTAMP",
        help="when it was delivered, UTC (default: when each file was last changed; of a snapshot, the last of them)",
    )
    arguments.add_argument(
        "--retry-quarantine",
        action="store_true",
        help="put the refused records of known files through again, and map no known file anew",
    )
    args = arguments.parse_args(argv)
    if args.check:
        with spark_alone(args) as (spark, settings):
            print(check(spark, args.source, args.input, settings.site))
        return 0
    if not args.input:
        arguments.error("expected --input, the folder of the delivery's files")
    with spark_job("ingest", args) as job:
        key = (create_key if args.create_key else read_key)(job.settings.key_path)
        with delivery(job.spark, load_source(args.source), args.input) as folder:
            ingest(job, args.source, folder, key, args.site, args.delivered_at, args.retry_quarantine)
    return 0


def _instant(text):
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


if __name__ == "__main__":
    sys.exit(run(main))

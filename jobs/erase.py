"""Erase people: from every table, file and history of the warehouse, and for good."""

import sys
from argparse import Namespace
from pathlib import Path

from salus.job import parser, run, spark_job
from salus.privacy.erase import erase
from salus.privacy.people import named
from salus.privacy.pseudonyms import read_key
from salus.settings import load_settings


def main(argv=None):
    """Erase whom the arguments name, or end what an erasure that died left unfinished."""
    made = parser(f"{__doc__}\n\nWithout a name it ends what an erasure that died left unfinished.")
    made.add_argument("--subject-id", action="append", default=[], metavar="ID", help="a person's pseudonym")
    made.add_argument(
        "--identifier", action="append", default=[], metavar="SYSTEM|VALUE", help="a person's id or shared identifier"
    )
    made.add_argument("--from", dest="listed", metavar="FILE", help="file of such lines, of both kinds; - reads stdin")
    made.add_argument("--site", help="the site whose ids they are (SALUS_SITE; default: conf/base.yml)")
    args = made.parse_args(argv)
    lines = [*args.subject_id, *args.identifier]
    if args.listed:
        text = sys.stdin.read() if args.listed == "-" else Path(args.listed).read_text(encoding="utf-8")
        lines += text.splitlines()
    settings = load_settings(warehouse=args.warehouse, site=args.site)
    key = read_key(settings.key_path)
    asked = named(lines, key, settings.site)
    with spark_job("erase", Namespace(warehouse=args.warehouse, master=args.master)) as job:  # the ledger names nobody
        for model in erase(job, asked, key):
            print(f"  trained on them: {model}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))

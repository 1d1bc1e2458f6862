"""Say how the warehouse stands: what each source delivered, what is late, and what ran last."""

import json
import sys

from salus.job import parser, published_tables, run
from salus.sources.status import status
from salus.storage.ledger import now


def main(argv=None):
    """Print the status; what is late changes no exit code, so that a scheduler reads it from ``--json``."""
    arguments = parser(__doc__)
    arguments.add_argument("--json", action="store_true", help="print it as JSON")
    args = arguments.parse_args(argv)
    with published_tables(args) as tables:
        found = status(tables, now().date())
    print(json.dumps(found.as_dict(), default=str, indent=2) if args.json else found.as_text())
    return 0


if __name__ == "__main__":
    sys.exit(run(main))

"""Open Python with a session and the warehouse's tables at hand: spark, tables, table("scores")."""

import code
import readline
import rlcompleter
import sys

from salus.job import parser, published_tables, run


def main(argv=None):
    """Read what is typed until the end of input."""
    args = parser(__doc__).parse_args(argv)
    with published_tables(args) as tables:
        names = {"spark": tables.spark, "tables": tables, "table": tables.read}
        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
        listed = " ".join(sorted(tables.published))
        banner = f"spark · tables · table(name), of the warehouse {tables.warehouse}: {listed}"
        code.interact(banner, local=names, exitmsg="")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))

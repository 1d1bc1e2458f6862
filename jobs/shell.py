"""Open Python with a session and the warehouse's tables at hand: spark, tables, table("scores")."""

import sys

from salus.session import spark_session
from salus.settings import load_settings
from salus.storage import Tables

if __name__ == "__main__":
    settings = load_settings(warehouse=sys.argv[1] if len(sys.argv) > 1 else None)
    spark = spark_session(settings, "salus shell")
    tables = Tables(spark, settings.warehouse)
    table = tables.read
    print(f"spark · tables · table(name), of the warehouse {settings.warehouse}:", *sorted(tables.published))

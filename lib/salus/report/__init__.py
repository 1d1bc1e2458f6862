"""The report: one HTML page that opens without a network, and the demo's end table on the terminal.

Everything comes from the tables and the ledger; Spark aggregates, and only small results reach the driver.
"""

from salus.report.terminal import summary

__all__ = ["summary"]

"""Delta tables, the snapshots through which everybody reads, the lock and the ledger of runs."""

from salus.storage.lock import warehouse_lock
from salus.storage.tables import Tables

__all__ = ["Tables", "warehouse_lock"]

"""How Salus's Python processes hold their memory: they keep what they had, for the next batch.

A batch, and a training step, take and free the same tens of megabytes again and again. As allocators come, they hand
such blocks back to the kernel, which gives them out anew page by page, each filled with noughts: a quarter of the time
of a scoring UDF, and two training ranks on one machine wait for each other in it. Arrow's mimalloc keeps blocks where
its jemalloc does not; of glibc, mallopt(3) gives the meaning of each variable. What is kept is bounded, and by the
largest batch at that.
"""

ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "mimalloc",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_TOP_PAD_": str(16 << 20),
}
"""For processes that are yet to begin: allocators read it once."""

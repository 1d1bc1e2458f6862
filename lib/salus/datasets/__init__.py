"""Training data sets: written by Spark tasks as plain Parquet in equal row groups, read by ranks in a known order."""

from salus.datasets.manifest import Dataset, RowGroup, Split, open_dataset

__all__ = ["Dataset", "RowGroup", "Split", "open_dataset"]

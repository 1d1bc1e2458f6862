"""TensorBoard's log of a network in training: a curve for each metric, readable while it goes on."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from salus.datasets.folder import Folder

CURVES = ("loss", "samples_a_second", "rank_waited_seconds", "rank_memory_mb")
"""What is shown beside the tuning split's figures."""


class Board:
    """The log of one network, whole in ``folder`` after each epoch; a resumed training adds a file of its own.

    TensorFlow writes to a local disk, so the file is made there and put in its place as it grows, on whatever storage
    that is.
    """

    def __init__(self, folder: Folder):
        self._folder, self._local = folder, tempfile.TemporaryDirectory(prefix="salus-board-")
        self._writer = tf.summary.create_file_writer(self._local.name)

    def tell(self, epoch: Mapping[str, Any]) -> None:
        """Add the metrics of an epoch, as the train loop reports them."""
        with self._writer.as_default(step=epoch["epoch"]):
            for name, figure in epoch.items():
                if (name in CURVES or name.startswith("tuning_")) and math.isfinite(figure):
                    tf.summary.scalar(name, figure)
        self._writer.flush()
        for file in Path(self._local.name).iterdir():
            self._folder.write(file.name, file.read_bytes())

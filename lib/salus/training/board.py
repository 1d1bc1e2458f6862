"""TensorBoard's log of a network in training: a curve for each metric, readable while it goes on."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from salus.datasets.folder import Folder

BOARDS = "_tensorboard"
"""The folder of a warehouse that ``tensorboard --logdir`` is given."""

CURVES = ("loss", "samples_a_second", "rank_waited_seconds", "rank_memory_mb")
"""What is shown beside the tuning split's figures."""


class Board:
    """The log of one network, whole in its folder after each epoch.

    TensorFlow writes to a local disk, so the file is made there and put in its place as it grows, on whatever storage
    that is.

    Args:
        warehouse: whose folder ``BOARDS`` it goes to.
        work: names the training, see ``checkpoint_key``.
        resume: go on from what is there; else that is removed.
    """

    def __init__(self, warehouse: str, work: str, resume: bool):
        self._folder = Folder(f"{warehouse}/{BOARDS}/{work}")
        if not resume:
            self._folder.clear()
        self._local = tempfile.TemporaryDirectory(prefix="salus-board-")
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

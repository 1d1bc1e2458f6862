"""A model's logits, in batches of one fixed shape.

``keras.Model.predict`` costs 8 to 12 times as much in a worker as a ``tf.function`` of fixed signature, which is
traced once and then only run; the last batch is padded so that no second shape is ever traced.
"""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

BATCH = 2048
"""Rows a call: large enough to fill one core's matrix products, small enough to stay in its cache."""


class Network:
    """A loaded model that is asked for logits again and again.

    Args:
        model: maps named blocks (rows, *shape) to logits (rows, 1), or to those of the ends of intervals, of which the
            last is the horizon's, or of classes, of which the last is the focus's.
        batch: rows a call.
    """

    def __init__(self, model: keras.Model, batch: int = BATCH):
        self.model, self.batch = model, batch
        self.names = [each.name for each in model.inputs]
        signature = {each.name: tf.TensorSpec((batch, *each.shape[1:]), each.dtype) for each in model.inputs}
        self._call = tf.function(lambda inputs: model(inputs, training=False), [signature])

    def logits(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The logit before calibration of each row: float64 (rows,); arguments as ``curves`` has them."""
        return self.curves(inputs)[:, -1]

    def curves(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """All logits of each row: float64 (rows, 1); of a time to event (rows, intervals), by the end of each; of
        classes (rows, classes).

        Args:
            inputs: standardised blocks (rows, *shape), those that the model reads among them.
        """
        rows = len(inputs[self.names[0]])
        found = np.empty((rows, self.model.output_shape[-1]), np.float64)
        for start in range(0, rows, self.batch):
            part = {name: inputs[name][start : start + self.batch] for name in self.names}
            size = min(self.batch, rows - start)
            given = {name: tf.constant(padded(block, self.batch)) for name, block in part.items()}
            found[start : start + size] = self._call(given).numpy()[:size]
        return found


def padded(rows: np.ndarray, size: int) -> np.ndarray:
    """``rows`` (n, ...) with zero rows added up to ``size``, contiguous."""
    if len(rows) == size:
        return np.ascontiguousarray(rows)
    filled = np.zeros((size, *rows.shape[1:]), rows.dtype)
    filled[: len(rows)] = rows
    return filled

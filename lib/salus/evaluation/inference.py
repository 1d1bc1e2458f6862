"""A model's logits, in batches of one fixed shape.

``keras.Model.predict`` costs 8 to 12 times as much in a worker as a ``tf.function`` of fixed signature, which is
traced once and then only run; the last batch is padded so that no second shape is ever traced.
"""

import keras
import numpy as np
import tensorflow as tf

BATCH = 2048
"""Rows a call: large enough to fill one core's matrix products, small enough to stay in its cache."""


class Network:
    """A loaded model that is asked for logits again and again.

    Args:
        model: maps (rows, width) float32 to one logit a row.
        width: inputs a row.
        batch: rows a call.
    """

    def __init__(self, model: keras.Model, width: int, batch: int = BATCH):
        self.model, self.width, self.batch = model, width, batch
        signature = [tf.TensorSpec((batch, width), tf.float32)]
        self._call = tf.function(lambda inputs: tf.reshape(model(inputs, training=False), (-1,)), signature)

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """The logit before calibration of each row.

        Args:
            inputs: float32 (rows, width), standardised.

        Returns:
            float64 (rows,).
        """
        found = np.empty(len(inputs), np.float64)
        for start in range(0, len(inputs), self.batch):
            rows = inputs[start : start + self.batch]
            found[start : start + len(rows)] = self._call(tf.constant(padded(rows, self.batch))).numpy()[: len(rows)]
        return found


def padded(rows: np.ndarray, size: int) -> np.ndarray:
    """``rows`` (n, width) with zero rows added up to ``size``, as contiguous float32."""
    if len(rows) == size:
        return np.ascontiguousarray(rows, np.float32)
    filled = np.zeros((size, *rows.shape[1:]), np.float32)
    filled[: len(rows)] = rows
    return filled

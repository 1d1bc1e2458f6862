"""Integrated gradients: what each input adds to the logit, from a person without events to this person.

Sundararajan, Taly and Yan (ICML 2017): the gradient is averaged along the straight line from a baseline to the
person's inputs and multiplied by the difference. The contributions then sum to the difference of the two logits
(completeness); for a logistic regression they are exactly coefficient times difference.

The average is taken at midpoints. A network of rectifiers bends along the line, so a few people need more points
than most: whoever's contributions do not sum well enough is taken again with more. Nobody's are rescaled to fit.
"""

import keras
import numpy as np
import tensorflow as tf

from salus.evaluation.inference import padded

STEPS = (16, 64, 256, 1024)
"""Points on the line: everybody at the first, and whoever is not yet complete at the next."""

POINTS = 4096
"""Points of the line a call, over all its people."""

RELATIVE, ABSOLUTE = 0.01, 0.1


def is_complete(total: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """Whether contributions sum to the logits' difference: within 0.01 x max(|difference|, 0.1)."""
    return np.abs(total - difference) <= RELATIVE * np.maximum(np.abs(difference), ABSOLUTE)


class IntegratedGradients:
    """Contributions of a model's inputs to its logit before calibration.

    Args:
        model: maps (rows, width) float32 to one logit a row.
        baseline: float32 (width,), standardised inputs of a person of whom nothing is known.
        steps: points on the line, ascending.
    """

    def __init__(self, model: keras.Model, baseline: np.ndarray, steps: tuple[int, ...] = STEPS):
        self.baseline = np.asarray(baseline, np.float32)
        self.steps = steps
        self._model = model
        self._gradients = {count: self._compiled(count, self._people(count)) for count in steps}
        at_baseline = model(tf.constant(self.baseline[None]), training=False)
        self.baseline_logit = float(tf.reshape(at_baseline, (-1,))[0])

    def contributions(self, inputs: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """What each input adds to the logit.

        Args:
            inputs: float32 (people, width), standardised.
            logits: float64 (people,), the model's logits of ``inputs``.

        Returns:
            float32 (people, width); a row sums to its logit less the baseline's.
        """
        inputs = np.asarray(inputs, np.float32)
        found = np.empty_like(inputs)
        waiting = np.arange(len(inputs))
        for count in self.steps:
            found[waiting] = self._at(count, inputs[waiting])
            complete = is_complete(found[waiting].sum(axis=1, dtype=np.float64), logits[waiting] - self.baseline_logit)
            waiting = waiting[~complete]
            if not waiting.size:
                break
        return found

    def _at(self, count, inputs):
        people = self._people(count)
        found = np.empty_like(inputs)
        for start in range(0, len(inputs), people):
            rows = inputs[start : start + people]
            mean = self._gradients[count](tf.constant(padded(rows, people))).numpy()[: len(rows)]
            found[start : start + len(rows)] = mean * (rows - self.baseline)
        return found

    def _people(self, count):
        return max(1, POINTS // count)

    def _compiled(self, count, people):
        width = self.baseline.size
        places = tf.constant((np.arange(count, dtype=np.float32) + 0.5) / count)[None, :, None]
        baseline = tf.constant(self.baseline)

        @tf.function(input_signature=[tf.TensorSpec((people, width), tf.float32)])
        def mean_gradient(inputs):
            line = tf.reshape(baseline + places * (inputs - baseline)[:, None, :], (people * count, width))
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(line)
                logit = self._model(line, training=False)
            return tf.reduce_mean(tf.reshape(tape.gradient(logit, line), (people, count, width)), axis=1)

        return mean_gradient

"""Integrated gradients: what each input adds to the logit, from a person without events to this person.

Sundararajan, Taly and Yan (ICML 2017): the gradient is averaged along the straight line from a baseline to the
person's inputs and multiplied by the difference. The contributions then sum to the difference of the two logits
(completeness); for a logistic regression they are exactly coefficient times difference.

Code ids lie on no line: for them it is drawn between the vectors in which the model embeds them, and what the
numbers of a vector contribute is added up to the event's contribution.

The average is taken at midpoints. A network of rectifiers bends along the line, so a few people need more points
than most: whoever's contributions do not sum well enough is taken again with more. Nobody's are rescaled to fit.
"""

import math
from collections.abc import Mapping
from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf

from salus.evaluation.inference import padded
from salus.evaluation.predictions import opened
from salus.models.parts import CODE_EMBEDDING
from salus.timelines.blocks import EVENT_CODES, taken
from salus.timelines.standardise import baseline

STEPS = (16, 64, 256, 1024)
"""Points on the line: everybody at the first, and whoever is not yet complete at the next."""

POINTS = 4096
"""Points of the line a call, over all its people, and as many numbers as windows have."""

NUMBERS = 1 << 20
"""Numbers of inputs a call, over all its points: sequences take fewer points at once."""

RELATIVE, ABSOLUTE = 0.01, 0.1


def is_complete(total: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """Whether contributions sum to the logits' difference: within 0.01 x max(|difference|, 0.1)."""
    return np.abs(total - difference) <= RELATIVE * np.maximum(np.abs(difference), ABSOLUTE)


class IntegratedGradients:
    """Contributions of a model's inputs to its logit before calibration.

    Args:
        model: maps named blocks (rows, *shape) to one logit a row; where it has several, the last, the horizon's.
        baseline: blocks (*shape), standardised inputs of a person of whom nothing is known.
        steps: points on the line, ascending.
    """

    def __init__(self, model: keras.Model, baseline: Mapping[str, np.ndarray], steps: tuple[int, ...] = STEPS):
        self.names = [each.name for each in model.inputs]
        self.steps = steps
        self._embed, self._logit = _from_vectors(model)
        self.baseline = {name: baseline[name] for name in self.names}
        self._start = {name: block[0] for name, block in self._vectors(_batch_of_one(self.baseline)).items()}
        self.baseline_logit = float(model(_batch_of_one(self.baseline), training=False)[0, -1])
        numbers = sum(block.size for block in self._start.values())
        self._points = 1 << min(POINTS, max(1, NUMBERS // numbers)).bit_length() - 1
        self._gradients = {count: self._compiled(self._at_once(count), self._people(count)) for count in steps}

    def contributions(self, inputs: Mapping[str, np.ndarray], logits: np.ndarray) -> dict[str, np.ndarray]:
        """What each input adds to the logit.

        Args:
            inputs: standardised blocks (people, *shape), those that the model reads among them.
            logits: float64 (people,), the model's logits of ``inputs``.

        Returns:
            float32 blocks (people, *shape) of what the model reads, by name; all of a person's numbers sum to their
            logit less the baseline's. The contribution of a code is that of the vector in which it is embedded.
        """
        inputs = {name: inputs[name] for name in self.names}
        found = {name: np.zeros(block.shape, np.float32) for name, block in inputs.items()}
        waiting = np.arange(len(logits))
        for count in self.steps:
            for name, block in self._at(count, taken(inputs, waiting)).items():
                found[name][waiting] = block
            complete = is_complete(total_of(taken(found, waiting)), logits[waiting] - self.baseline_logit)
            waiting = waiting[~complete]
            if not waiting.size:
                break
        return found

    def _at(self, count, inputs):
        people = self._people(count)
        parts = []
        rows = len(next(iter(inputs.values())))
        for start in range(0, rows, people):
            vectors = self._vectors(taken(inputs, slice(start, start + people)))
            mean = self._mean_gradient(count, {name: padded(block, people) for name, block in vectors.items()})
            parts.append(
                {name: mean[name][: len(block)] * (block - self._start[name]) for name, block in vectors.items()}
            )
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
        return {name: block.sum(axis=-1) if name == EVENT_CODES else block for name, block in whole.items()}

    def _mean_gradient(self, count, vectors):
        """Over all points of the line, so many at once as fit."""
        gradient = self._gradients[count]
        places = ((np.arange(count, dtype=np.float32) + 0.5) / count).reshape(-1, self._at_once(count))
        sums = [gradient(vectors, tf.constant(some)) for some in places]
        return {name: sum(each[name].numpy() for each in sums) / count for name in vectors}

    def _vectors(self, inputs):
        """The inputs as the line runs through them: ids by their vectors."""
        if self._embed is None:
            return dict(inputs)
        return {**inputs, EVENT_CODES: self._embed(inputs[EVENT_CODES]).numpy()}

    def _at_once(self, count):
        return math.gcd(count, self._points)

    def _people(self, count):
        return max(1, self._points // count)

    def _compiled(self, count, people):
        start = {name: tf.constant(block) for name, block in self._start.items()}
        signature = {name: tf.TensorSpec((people, *block.shape), tf.float32) for name, block in start.items()}
        shapes = {name: block.shape for name, block in start.items()}

        @tf.function(input_signature=[signature, tf.TensorSpec((count,), tf.float32)])
        def summed_gradient(vectors, places):
            line = {
                name: tf.reshape(
                    start[name]
                    + tf.reshape(places, (1, count, *(1 for _ in shape))) * (vectors[name] - start[name])[:, None],
                    (people * count, *shape),
                )
                for name, shape in shapes.items()
            }
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(line)
                logit = self._logit(line)[:, -1]
            gradients = tape.gradient(logit, line)
            return {
                name: tf.reduce_sum(tf.reshape(gradients[name], (people, count, *shape)), axis=1)
                for name, shape in shapes.items()
            }

        return summed_gradient


@lru_cache(maxsize=2)
def gradients(archive: bytes) -> IntegratedGradients:
    """Those of a packed package's network, compiled once a process."""
    package = opened(archive)
    return IntegratedGradients(package.model, baseline(package.spec))


def total_of(contributions: Mapping[str, np.ndarray]) -> np.ndarray:
    """float64 (people,): the sum over all inputs of all blocks."""
    sums = [block.sum(axis=tuple(range(1, block.ndim)), dtype=np.float64) for block in contributions.values()]
    return np.sum(sums, axis=0)


def _batch_of_one(person):
    return {name: block[None] for name, block in person.items()}


def _from_vectors(model):
    """The function that embeds ids, None where the model reads none, and the one from vectors to the logit."""
    names = [each.name for each in model.inputs]
    if EVENT_CODES not in names:
        return None, lambda line: model(line, training=False)
    embedding = model.get_layer(CODE_EMBEDDING)
    tensors = {each.name: each for each in model.inputs} | {EVENT_CODES: embedding.output}
    after = keras.Model([tensors[name] for name in names], model.outputs[0])
    return embedding, (lambda line: after([line[name] for name in names], training=False))

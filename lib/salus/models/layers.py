"""Layers that Keras lacks: they know that an event may be absent, and how long it was since the one before.

Every one is smooth in ``present``, from 1 (an event) down to 0 (padding, which changes nothing): so an explanation can
go from a person without events to this one along a line on which the model is defined everywhere.
"""

import math

import keras
from keras import ops

from salus.models.heads import against_the_rest, ascending, incidence_logit
from salus.timelines.blocks import EVENT_COLUMNS
from salus.timelines.standardise import LOG_YEAR

GAP, PRESENT = EVENT_COLUMNS.index("log_gap"), EVENT_COLUMNS.index("present")
COLUMNS = len(EVENT_COLUMNS)


@keras.saving.register_keras_serializable(package="salus")
class IncidenceLogit(keras.layers.Layer):
    """Hazards' logits to those of the cumulative incidence: (samples, causes x intervals) to (samples, intervals).

    The last is the horizon's: the raw score that is calibrated, explained and ranked by.
    """

    def __init__(self, causes=1, **options):
        super().__init__(**options)
        self.causes = causes

    def call(self, hazards):
        """Of the first cause, at the end of each interval."""
        return incidence_logit(hazards, self.causes)

    def get_config(self):
        """Settings, for a saved model."""
        return super().get_config() | {"causes": self.causes}


@keras.saving.register_keras_serializable(package="salus")
class ClassLogit(keras.layers.Layer):
    """Logits of exclusive classes against none of them to those of each one's probability: (samples, classes) to it.

    The last is the focus's: the raw score that is calibrated, explained and ranked by.
    """

    def call(self, logits):
        """Each against everything else."""
        return against_the_rest(logits)


@keras.saving.register_keras_serializable(package="salus")
class Quantiles(keras.layers.Layer):
    """The outputs of the head of quantiles to these, in the label's unit: (samples, levels) to the same.

    They ascend, but for the median, which comes last: the raw score that is told, explained and ranked by.
    """

    def __init__(self, unit=1.0, median=0, **options):
        super().__init__(**options)
        self.unit, self.median = unit, median

    def call(self, outputs):
        """All others, then the median."""
        told = self.unit * ascending(outputs)
        at = self.median
        return ops.concatenate([told[:, :at], told[:, at + 1 :], told[:, at : at + 1]], axis=1)

    def get_config(self):
        """Settings, for a saved model."""
        return super().get_config() | {"unit": self.unit, "median": self.median}


@keras.saving.register_keras_serializable(package="salus")
class Present(keras.layers.Layer):
    """Events times their presence: [(samples, length, units), (samples, length, COLUMNS)] to the first's shape."""

    def call(self, inputs):
        """The events, 0 in padding."""
        events, values = inputs
        return events * values[..., PRESENT : PRESENT + 1]


class _GatedCell(keras.layers.Layer):
    """A recurrent cell over events whose gates were projected before the loop.

    A step's input is (samples, gates x units + COLUMNS): projections of the event, then its numbers.
    """

    gates: int

    def __init__(self, units, l2=0.0, seed=0, **options):
        super().__init__(**options)
        self.units, self.l2, self.seed = units, l2, seed

    def build(self, shape):
        """Recurrent weights: orthogonal, with the penalty."""
        self.recurrent = self.add_weight(
            shape=(self.units, self.gates * self.units),
            initializer=keras.initializers.Orthogonal(seed=self.seed),
            regularizer=keras.regularizers.L2(self.l2),
            name="recurrent",
        )

    def split(self, inputs):
        """Projected gates, the log gap (samples, 1) and the presence (samples, 1) of a step."""
        gates, values = inputs[:, :-COLUMNS], inputs[:, -COLUMNS:]
        return gates, values[:, GAP : GAP + 1], values[:, PRESENT : PRESENT + 1]

    def get_config(self):
        """Settings, for a saved model."""
        return super().get_config() | {"units": self.units, "l2": self.l2, "seed": self.seed}


@keras.saving.register_keras_serializable(package="salus")
class DecayGRUCell(_GatedCell):
    """A GRU whose state fades between events, each unit at a rate that it learns.

    Che et al., Recurrent Neural Networks for Multivariate Time Series with Missing Values, Sci Rep 2018;8:6085; the
    decay here is exp(-rate x log gap): a power of the days, not an exponential of them, since gaps are long-tailed.
    """

    gates = 3

    @property
    def state_size(self):
        """Of the hidden state."""
        return self.units

    def build(self, shape):
        """Recurrent weights, and the rates of decay."""
        super().build(shape)
        self.rate = self.add_weight(shape=(self.units,), initializer=keras.initializers.Constant(-2.0), name="rate")

    def call(self, inputs, states, training=False):
        """One event: the output and the new state, (samples, units)."""
        gates, gap, present = self.split(inputs)
        before = states[0]
        state = before * ops.exp(-ops.softplus(self.rate) * gap)
        units = self.units
        both = ops.sigmoid(gates[:, : 2 * units] + ops.matmul(state, self.recurrent[:, : 2 * units]))
        update, reset = both[:, :units], both[:, units:]
        candidate = ops.tanh(gates[:, 2 * units :] + ops.matmul(reset * state, self.recurrent[:, 2 * units :]))
        after = update * state + (1 - update) * candidate
        state = before + present * (after - before)
        return state, [state]


@keras.saving.register_keras_serializable(package="salus")
class TimeAwareLSTMCell(_GatedCell):
    """An LSTM whose short-term memory is discounted by the gap since the event before.

    Baytas et al., Patient Subtyping via Time-Aware LSTM Networks, KDD 2017: the part of the memory that a layer calls
    short-term is multiplied by 1 / log(e + days).
    """

    gates = 4

    @property
    def state_size(self):
        """Of the hidden state and the memory."""
        return [self.units, self.units]

    def build(self, shape):
        """Recurrent weights, and those that find the short-term part of the memory."""
        super().build(shape)
        self.short = self.add_weight(
            shape=(self.units, self.units),
            initializer=keras.initializers.GlorotUniform(seed=self.seed + 1),
            regularizer=keras.regularizers.L2(self.l2),
            name="short",
        )
        self.short_bias = self.add_weight(shape=(self.units,), initializer="zeros", name="short_bias")

    def call(self, inputs, states, training=False):
        """One event: the output and the new states, (samples, units)."""
        gates, gap, present = self.split(inputs)
        hidden, memory = states
        short = ops.tanh(ops.matmul(memory, self.short) + self.short_bias)
        discount = 1 / ops.log(ops.expm1(gap * LOG_YEAR) + math.e)
        adjusted = memory - short + discount * short
        take, forget, give, candidate = ops.split(gates + ops.matmul(hidden, self.recurrent), 4, axis=-1)
        after = ops.sigmoid(forget + 1) * adjusted + ops.sigmoid(take) * ops.tanh(candidate)
        memory = memory + present * (after - memory)
        hidden = hidden + present * (ops.sigmoid(give) * ops.tanh(after) - hidden)
        return hidden, [hidden, memory]


@keras.saving.register_keras_serializable(package="salus")
class EventAttention(keras.layers.Layer):
    """Self-attention over events, with one place more at which there is nothing.

    Vaswani et al., Attention Is All You Need, NeurIPS 2017. Each event's weight is its presence times exp(score), and
    the place of nothing has the weight 1: where nothing is present, the result is 0.

    [(samples, length, units), (samples, length, COLUMNS)] to (samples, length, units).
    """

    def __init__(self, heads, l2=0.0, seed=0, **options):
        super().__init__(**options)
        self.heads, self.l2, self.seed = heads, l2, seed

    def build(self, shapes):
        """Projections to queries, keys and values, and from heads to units."""
        units = shapes[0][-1]
        if units % self.heads:
            raise ValueError(
                f"Received {self.heads} attention heads for {units} units; expected a divisor. Mend `attention_heads`."
            )
        self.project, self.join = (
            self.add_weight(
                shape=(units, width),
                initializer=keras.initializers.GlorotUniform(seed=self.seed + number),
                regularizer=keras.regularizers.L2(self.l2),
                name=name,
            )
            for number, (name, width) in enumerate({"project": 3 * units, "join": units}.items())
        )

    def call(self, inputs):
        """What each event takes from the others."""
        events, values = inputs
        length, units = events.shape[1:]
        size = units // self.heads
        projected = ops.reshape(ops.matmul(events, self.project), (-1, length, 3, self.heads, size))
        query, key, value = (projected[:, :, part] for part in range(3))
        scores = ops.einsum("bihd,bjhd->bhij", query, key) / size**0.5
        weights = share_of_present(scores, values[:, None, None, :, PRESENT])
        mixed = ops.reshape(ops.einsum("bhij,bjhd->bihd", weights, value), (-1, length, units))
        return ops.matmul(mixed, self.join)

    def compute_output_shape(self, shapes):
        """That of the events."""
        return shapes[0]

    def get_config(self):
        """Settings, for a saved model."""
        return super().get_config() | {"heads": self.heads, "l2": self.l2, "seed": self.seed}


@keras.saving.register_keras_serializable(package="salus")
class EventPooling(keras.layers.Layer):
    """A weighted mean of events, with one place more at which there is nothing: weights are learnt from the events.

    [(samples, length, units), (samples, length, COLUMNS)] to (samples, units).
    """

    def build(self, shapes):
        """The weights of the score."""
        self.score = self.add_weight(shape=(shapes[0][-1], 1), initializer="zeros", name="score")

    def call(self, inputs):
        """The mean."""
        events, values = inputs
        weights = share_of_present(ops.matmul(events, self.score)[..., 0], values[..., PRESENT])
        return ops.einsum("bi,bid->bd", weights, events)

    def compute_output_shape(self, shapes):
        """One vector a sample."""
        return (shapes[0][0], shapes[0][-1])


def share_of_present(scores, present):
    """Weights over the last axis: present x exp(score), by their sum and 1."""
    most = ops.stop_gradient(ops.maximum(ops.max(scores, axis=-1, keepdims=True), 0.0))
    size = present * ops.exp(scores - most)
    return size / (ops.sum(size, axis=-1, keepdims=True) + ops.exp(-most))

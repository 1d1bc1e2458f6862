"""The recurrent branch of ``gru``, ``lstm`` and ``two_tower``: events, oldest first, through a cell that knows gaps."""

import keras

from salus.models.parts import dense, embedded_events
from salus.timelines.blocks import EVENT_VALUES


def last_state(cell, inputs, blocks, settings, seed) -> keras.KerasTensor:
    """(samples, units): the state after the newest event, for a cell class of ``salus.models.layers``."""
    return _states(cell, inputs, blocks, settings, seed, every=False)


def every_state(cell, inputs, blocks, settings, seed) -> keras.KerasTensor:
    """(samples, length, units): the state after each event, by the same layers."""
    return _states(cell, inputs, blocks, settings, seed, every=True)


def _states(cell, inputs, blocks, settings, seed, every):
    """What does not depend on the state, the gates' projections of all events, is computed before the loop."""
    events = embedded_events(inputs, blocks, settings, seed)
    gates = dense(cell.gates * settings.units, settings, seed, name="gates")(events)
    steps = keras.layers.Concatenate(name="steps")([gates, inputs[EVENT_VALUES]])
    made = cell(settings.units, settings.l2, next(seed), name="cell")
    return keras.layers.RNN(made, return_sequences=every, name="recurrence")(steps)

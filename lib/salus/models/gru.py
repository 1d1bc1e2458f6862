"""Gated recurrent unit over the last events, whose memory fades between them.

A window says how often, a recurrence also in which order and how far apart. Choi et al. (Using recurrent neural
network models for early detection of heart failure onset, JAMIA 2017;24:361-370) read coded events by a GRU; the
state's decay over gaps is that of Che et al. (Sci Rep 2018;8:6085; see ``DecayGRUCell``). A linear path from the
windowed inputs stands beside it.

Shapes: inputs (samples, width) float32; event_codes (samples, length) int32, 0 = padding; event_values (samples,
length, len(EVENT_COLUMNS)) float32; state (samples, units); logit (samples, outputs) float32.
"""

import keras

from salus.models.layers import DecayGRUCell
from salus.models.parts import given, hidden_layers, logit_of, seeds
from salus.models.recurrent import last_state
from salus.timelines.blocks import EVENT_CODES, EVENT_VALUES, INPUTS


def build(blocks, settings, outputs):
    """A GRU of ``settings.units`` over the events, with ``settings.hidden`` layers after it."""
    inputs, seed = given(blocks, INPUTS, EVENT_CODES, EVENT_VALUES), seeds(settings)
    state = last_state(DecayGRUCell, inputs, blocks, settings, seed)
    hidden = hidden_layers(state, settings, seed)
    return keras.Model(inputs, logit_of(inputs, hidden, settings, outputs), name="gru")

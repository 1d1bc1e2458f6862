"""Time-aware long short-term memory over the last events.

The short-term part of the memory is discounted by the gap between two events, the long-term part is kept (Baytas et
al., Patient Subtyping via Time-Aware LSTM Networks, KDD 2017, https://doi.org/10.1145/3097983.3097997; see
``TimeAwareLSTMCell``). A linear path from the windowed inputs stands beside it.

Shapes: inputs (samples, width) float32; event_codes (samples, length) int32, 0 = padding; event_values (samples,
length, len(EVENT_COLUMNS)) float32; state (samples, units); logit (samples, outputs) float32.
"""

import keras

from salus.models.layers import TimeAwareLSTMCell
from salus.models.parts import given, hidden_layers, logit_of, seeds
from salus.models.recurrent import last_state
from salus.timelines.blocks import EVENT_CODES, EVENT_VALUES, INPUTS


def build(blocks, settings, outputs):
    """A time-aware LSTM of ``settings.units`` over the events, with ``settings.hidden`` layers after it."""
    inputs, seed = given(blocks, INPUTS, EVENT_CODES, EVENT_VALUES), seeds(settings)
    state = last_state(TimeAwareLSTMCell, inputs, blocks, settings, seed)
    hidden = hidden_layers(state, settings, seed)
    return keras.Model(inputs, logit_of(inputs, hidden, settings, outputs), name="lstm")

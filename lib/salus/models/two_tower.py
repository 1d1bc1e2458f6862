"""Towers joined: one reads the record's events, one the windowed and static inputs, one the devices' days.

Each kind of data has a branch of its own shape, and they meet late, in dense layers that learn their interactions
(Rajkomar et al., Scalable and accurate deep learning with electronic health records, npj Digit Med 2018;1:18; Huang et
al., Fusion of medical imaging and electronic health records using deep learning, npj Digit Med 2020;3:136, on joint
fusion). The devices' tower stands where the samples have daily series. A linear path from the windowed inputs stands
beside them.

Shapes: inputs (samples, width) float32; event_codes (samples, length) int32, 0 = padding; event_values (samples,
length, len(EVENT_COLUMNS)) float32; days (samples, days, 2 x channels) float32; joined (samples, 2 or 4 x units);
logit (samples, outputs) float32.
"""

import keras

from salus.models.cnn import series
from salus.models.layers import DecayGRUCell
from salus.models.parts import dense, given, hidden_layers, logit_of, seeds
from salus.models.recurrent import last_state
from salus.timelines.blocks import DAYS, EVENT_CODES, EVENT_VALUES, INPUTS


def build(blocks, settings, outputs):
    """Towers of ``settings.units`` each, joined by ``settings.hidden`` layers."""
    has_days = DAYS in blocks
    inputs = given(blocks, INPUTS, EVENT_CODES, EVENT_VALUES, *([DAYS] if has_days else []))
    seed = seeds(settings)
    windows = dense(settings.units, settings, seed, activation="gelu", name="windows")(inputs[INPUTS])
    towers = [
        last_state(DecayGRUCell, inputs, blocks, settings, seed),
        keras.layers.Dropout(settings.dropout, seed=next(seed), name="windows_dropout")(windows),
    ]
    if has_days:
        towers.append(series(inputs[DAYS], settings, seed))
    hidden = hidden_layers(keras.layers.Concatenate(name="joined")(towers), settings, seed)
    return keras.Model(inputs, logit_of(inputs, hidden, settings, outputs), name="two_tower")

"""Transformer over the last events, with encodings of time and age.

As BEHRT (Li et al., Sci Rep 2020;10:7155), it adds to each event's code what is known of its time and of the person's
age then, and lets every event look at every other (Vaswani et al., NeurIPS 2017), here with the normalisation before
each layer (Xiong et al., On Layer Normalization in the Transformer Architecture, ICML 2020). Times are real numbers,
not positions, so their encoding is a learnt set of sines (Kazemi et al., Time2Vec, 2019,
https://arxiv.org/abs/1907.05321). A linear path from the windowed inputs stands beside it.

Shapes: inputs (samples, width) float32; event_codes (samples, length) int32, 0 = padding; event_values (samples,
length, len(EVENT_COLUMNS)) float32; events (samples, length, units); logit (samples, outputs) float32.
"""

import keras

from salus.models.layers import EventAttention, EventPooling, Present
from salus.models.parts import dense, embedded_events, given, hidden_layers, logit_of, seeds
from salus.timelines.blocks import EVENT_CODES, EVENT_VALUES, INPUTS

NORM_EPSILON = 0.1
"""Normalisation is gentle near 0, where explanations begin: else all change would lie in the line's first step."""


def build(blocks, settings, outputs):
    """``settings.layers`` layers of ``settings.attention_heads`` heads over events of ``settings.units``."""
    inputs, seed = given(blocks, INPUTS, EVENT_CODES, EVENT_VALUES), seeds(settings)
    pooled = EventPooling(name="pooling")([events_in_context(inputs, blocks, settings, seed), inputs[EVENT_VALUES]])
    hidden = hidden_layers(pooled, settings, seed)
    return keras.Model(inputs, logit_of(inputs, hidden, settings, outputs), name="transformer")


def events_in_context(inputs, blocks, settings, seed) -> keras.KerasTensor:
    """(samples, length, units): each event in the light of the others."""
    values = inputs[EVENT_VALUES]
    events = keras.layers.Add(name="timed_events")(
        [embedded_events(inputs, blocks, settings, seed), _when(values, settings, seed)]
    )
    for number in range(1, settings.layers + 1):
        seen = EventAttention(settings.attention_heads, settings.l2, next(seed), name=f"attention_{number}")(
            [_normal(f"norm_{number}")(events), values]
        )
        events = keras.layers.Add()([events, _dropped(seen, settings, seed)])
        thought = dense(2 * settings.units, settings, seed, activation="gelu", name=f"widened_{number}")(
            _normal(f"inner_norm_{number}")(events)
        )
        thought = dense(settings.units, settings, seed, name=f"narrowed_{number}")(thought)
        events = keras.layers.Add()([events, _dropped(thought, settings, seed)])
    return events


def _when(values, settings, seed):
    """Sines of gap, time before the prediction and age at the event, at learnt frequencies; 0 in padding."""
    phase = keras.layers.Dense(
        settings.units,
        kernel_initializer=keras.initializers.RandomNormal(stddev=1.5, seed=next(seed)),
        bias_initializer=keras.initializers.RandomUniform(-1.5, 1.5, seed=next(seed)),
        name="frequencies",
    )(values)
    return Present(name="when")([keras.ops.sin(phase), values])


def _normal(name):
    return keras.layers.LayerNormalization(epsilon=NORM_EPSILON, name=name)


def _dropped(tensor, settings, seed):
    return keras.layers.Dropout(settings.dropout, seed=next(seed))(tensor)

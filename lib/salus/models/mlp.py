"""Multilayer perceptron over windowed features, beside a linear path from inputs to the logit.

The linear path starts the network where logistic regression would be, and the layers learn only what it misses,
such as interactions and thresholds (Cheng et al., Wide & Deep Learning for Recommender Systems, DLRS 2016,
https://arxiv.org/abs/1606.07792). Monthly samples of a person are nearly alike, so there are far fewer independent
outcomes than rows: dropout (Srivastava et al., JMLR 2014;15:1929-1958) and an L2 penalty hold the layers back.

Shapes: inputs (samples, width) float32, standardised; hidden layers (samples, units); logit (samples, outputs) float32.
"""

import keras

from salus.models.parts import given, hidden_layers, logit_of, seeds
from salus.timelines.blocks import INPUTS


def build(blocks, settings, outputs):
    """An MLP of ``inputs`` with ``settings.hidden`` units a layer, ``settings.dropout`` and ``settings.l2``."""
    inputs = given(blocks, INPUTS)
    hidden = hidden_layers(inputs[INPUTS], settings, seeds(settings))
    return keras.Model(inputs, logit_of(inputs, hidden, settings, outputs), name="mlp")

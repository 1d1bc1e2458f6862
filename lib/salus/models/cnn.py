"""One-dimensional convolutions over the daily series of devices.

A filter of a week finds a change, such as a slump in steps, wherever it lies; what a day lacks is told by flags beside
the numbers (Yang et al., Deep Convolutional Neural Networks on Multichannel Time Series for Human Activity
Recognition, IJCAI 2015, for filters shared along the time of many channels; Che et al., Sci Rep 2018;8:6085, for the
flags). A linear path from the windowed inputs stands beside it.

Shapes: inputs (samples, width) float32; days (samples, days, 2 x channels) float32, oldest first, numbers and then
flags; filtered (samples, days / 2 ** layers, units); logit (samples, outputs) float32.
"""

import keras

from salus.models.parts import given, hidden_layers, logit_of, penalty, seeds
from salus.timelines.blocks import DAYS, INPUTS

FILTER_DAYS = 7


def build(blocks, settings, outputs):
    """``settings.layers`` convolutions of ``settings.units`` filters, then ``settings.hidden`` layers."""
    inputs, seed = given(blocks, INPUTS, DAYS), seeds(settings)
    hidden = hidden_layers(series(inputs[DAYS], settings, seed), settings, seed)
    return keras.Model(inputs, logit_of(inputs, hidden, settings, outputs), name="cnn")


def series(days, settings, seed) -> keras.KerasTensor:
    """(samples, 2 x units): the mean and the height of what the filters found.

    The height is a mean weighted by softmax along the days: unlike a maximum it is smooth, so that what each input
    adds to the logit can be integrated.
    """
    for number in range(1, settings.layers + 1):
        days = keras.layers.Conv1D(
            settings.units,
            FILTER_DAYS,
            padding="same",
            activation="gelu",
            kernel_initializer=keras.initializers.HeNormal(seed=next(seed)),
            kernel_regularizer=penalty(settings),
            name=f"filters_{number}",
        )(days)
        if number < settings.layers:
            days = keras.layers.AveragePooling1D(2, padding="same", name=f"halved_{number}")(days)
    height = keras.ops.sum(keras.layers.Softmax(axis=1, name="heights")(days) * days, axis=1)
    found = keras.layers.Concatenate(name="series")([keras.layers.GlobalAveragePooling1D()(days), height])
    return keras.layers.Dropout(settings.dropout, seed=next(seed), name="series_dropout")(found)

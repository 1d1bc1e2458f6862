"""Multilayer perceptron over windowed features, beside a linear path from inputs to the logit.

The linear path starts the network where logistic regression would be, and the layers learn only what it misses,
such as interactions and thresholds (Cheng et al., Wide & Deep Learning for Recommender Systems, DLRS 2016,
https://arxiv.org/abs/1606.07792). Monthly samples of a person are nearly alike, so there are far fewer independent
outcomes than rows: dropout (Srivastava et al., JMLR 2014;15:1929-1958) and an L2 penalty hold the layers back.

Shapes: inputs (samples, width) float32, standardised; hidden layers (samples, units); logit (samples, 1) float32.
"""

import keras


def build(width, settings, prior_logit):
    """An MLP of ``width`` inputs with ``settings.hidden`` units a layer, ``settings.dropout`` and ``settings.l2``.

    It starts at ``prior_logit`` for everybody, since both paths begin with zeros.
    """
    penalty = keras.regularizers.L2(settings.l2)
    seeds = iter(range(settings.seed, settings.seed + 2 * len(settings.hidden) + 2))
    inputs = keras.Input((width,), name="inputs")
    hidden = inputs
    for number, units in enumerate(settings.hidden, start=1):
        hidden = keras.layers.Dense(
            units,
            activation="gelu",
            kernel_initializer=keras.initializers.HeNormal(seed=next(seeds)),
            kernel_regularizer=penalty,
            name=f"hidden_{number}",
        )(hidden)
        hidden = keras.layers.Dropout(settings.dropout, seed=next(seeds), name=f"dropout_{number}")(hidden)
    linear = keras.layers.Dense(
        1,
        kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(prior_logit),
        kernel_regularizer=penalty,
        name="linear",
    )(inputs)
    layered = keras.layers.Dense(
        1, kernel_initializer="zeros", use_bias=False, kernel_regularizer=penalty, name="layered"
    )(hidden)
    logit = keras.layers.Add(name="logit")([linear, layered]) if settings.hidden else linear
    return keras.Model(inputs, logit, name="mlp")

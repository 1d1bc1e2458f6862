"""Logistic regression: the logit is a weighted sum of the inputs.

The baseline that every network has to beat: for tabular clinical prediction it often is as good (Christodoulou et
al., A systematic review shows no performance benefit of machine learning over logistic regression for clinical
prediction models, J Clin Epidemiol 2019;110:12-22). The L2 penalty makes it a ridge regression, which correlated
windows of the same code group need (le Cessie and van Houwelingen, Ridge estimators in logistic regression, Appl
Stat 1992;41:191-201).

Shapes: inputs (samples, width) float32, standardised; logit (samples, 1) float32.
"""

import keras


def build(width, settings, prior_logit):
    """A logistic regression of ``width`` inputs, with the penalty ``settings.l2``, that starts at ``prior_logit``."""
    inputs = keras.Input((width,), name="inputs")
    logit = keras.layers.Dense(
        1,
        kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(prior_logit),
        kernel_regularizer=keras.regularizers.L2(settings.l2),
        name="logit",
    )(inputs)
    return keras.Model(inputs, logit, name="logistic")

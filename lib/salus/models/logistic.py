"""Logistic regression: the logit is a weighted sum of the inputs.

The baseline that every network has to beat: for tabular clinical prediction it often is as good (Christodoulou et
al., A systematic review shows no performance benefit of machine learning over logistic regression for clinical
prediction models, J Clin Epidemiol 2019;110:12-22). The L2 penalty makes it a ridge regression, which correlated
windows of the same code group need (le Cessie and van Houwelingen, Ridge estimators in logistic regression, Appl
Stat 1992;41:191-201).

Of a count or a cost the same sum is the logarithm of the mean: a generalised linear model with a log link (McCullagh
and Nelder, Generalized Linear Models, 2nd ed. 1989).

Shapes: inputs (samples, width) float32, standardised; logit (samples, outputs) float32.
"""

import keras

from salus.models.parts import given, logit_of
from salus.timelines.blocks import INPUTS


def build(blocks, settings, outputs):
    """A logistic regression of ``inputs``, with the penalty ``settings.l2``."""
    inputs = given(blocks, INPUTS)
    return keras.Model(inputs, logit_of(inputs, inputs[INPUTS], settings, outputs), name="logistic")

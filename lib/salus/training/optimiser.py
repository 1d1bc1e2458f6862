"""Adam over a network's weights, those that it has from a pre-trained encoder at a learning rate of their own."""

from collections.abc import Collection, Sequence

import keras


class Optimiser:
    """One Adam, or two that share a network's weights.

    What an encoder has learnt of many people should not be unlearnt in the first steps on few labels, so its weights go
    on more slowly than those that begin from chance (discriminative fine-tuning: Howard and Ruder, Universal Language
    Model Fine-tuning for Text Classification, ACL 2018, https://doi.org/10.18653/v1/P18-1031).

    Args:
        variables: the network's weights, in the order in which ``apply`` gets them.
        learning_rate: of those that begin from chance, at its height.
        given: those of ``variables`` that an encoder gave.
        share: of ``learning_rate`` at which these go on; 0 = they stay as they are.
        warm_up_steps: over which the rates rise to their height, in a line from one step's share of it.
    """

    def __init__(
        self,
        variables: Sequence[keras.Variable],
        learning_rate: float,
        given: Collection[keras.Variable] = (),
        share: float = 1.0,
        warm_up_steps: int = 0,
    ):
        of_encoder = {id(variable) for variable in given}
        self._parts = []
        for rate, is_given in ((learning_rate, False), (share * learning_rate, True)):
            places = [place for place, each in enumerate(variables) if (id(each) in of_encoder) == is_given]
            if places:
                adam = keras.optimizers.Adam(_risen(rate, warm_up_steps))
                adam.build([variables[place] for place in places])
                self._parts.append((adam, places))

    @property
    def variables(self) -> list[keras.Variable]:
        """What a checkpoint keeps: steps, rates and moments."""
        return [variable for adam, _ in self._parts for variable in adam.variables]

    def apply(self, gradients: Sequence, variables: Sequence[keras.Variable]) -> None:
        """One step along ``gradients``, one for each of ``variables``."""
        for adam, places in self._parts:
            adam.apply([gradients[place] for place in places], [variables[place] for place in places])


def _risen(rate, steps):
    """The learning rate by step: Goyal et al. 2017 (arXiv 1706.02677), section 2.2."""
    if steps < 2:
        return rate
    return keras.optimizers.schedules.PolynomialDecay(rate / steps, steps - 1, end_learning_rate=rate, power=1.0)

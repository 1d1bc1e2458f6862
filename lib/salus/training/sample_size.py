"""Sample size: how many labelled rows a model of so many inputs needs at least, and how many there are.

Riley et al. (Statistics in Medicine 38:1276, 2019; BMJ 368:m441, 2020) give the fewest with which a regression of a
binary outcome overfits little and knows the overall risk. Each model input counts as a candidate parameter. Networks
have more parameters and are held back by other means, so this is a floor, no promise.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from salus.cohorts.task import Task
from salus.datasets import Dataset
from salus.datasets.feed import in_order
from salus.errors import Held, Refused

SHRINKAGE = 0.9
"""Of the predictors' effects, that overfitting may ask for at most."""

OPTIMISM = 0.05
"""Of the apparent R squared, as a share of its maximum, at most."""

MARGIN_OF_RISK = 0.05
"""Half width of the 95 % interval of the overall risk, at most."""

ABSOLUTE_ERROR = 0.05
"""Of a person's probability, on average, at most."""

PARAMETERS_WITH_ERROR = 30
"""The formula of the mean absolute error was found by simulation up to so many parameters."""

SHARE_OF_GREATEST = 0.15
"""Of the greatest Cox-Snell R squared, that is anticipated where nothing better is known (BMJ 2020, figure 3)."""

Z = 1.96


@dataclass(frozen=True)
class SampleSize:
    """What is required and what is available.

    Attributes:
        parameters: model inputs a row.
        prevalence: share of positive labels in training.
        cox_snell_r2: anticipated.
        criteria: rows that each criterion asks for.
        rows: labelled rows in training.
        people: of whom they are.
        forced: the task's gate would have held, and ``--force`` went on.
    """

    parameters: int
    prevalence: float
    cox_snell_r2: float
    criteria: Mapping[str, int]
    rows: int
    people: int
    forced: bool = False

    @property
    def required(self) -> int:
        """Rows that meet every criterion."""
        return max(self.criteria.values())

    def told(self) -> dict[str, Any]:
        """As a model package keeps it."""
        return asdict(self) | {"required": self.required}

    def __str__(self) -> str:
        return sentence(self.told())


def sentence(told: Mapping[str, Any]) -> str:
    """What ``SampleSize.told`` gave, for whoever reads the terminal or the model card."""
    forced = ", forced" if told["forced"] else ""
    return (
        f"sample size: required {told['required']:,}, available {told['rows']:,} (of {told['people']:,} people)"
        f"{forced}; {told['parameters']:,} inputs, anticipated Cox-Snell R squared {told['cox_snell_r2']:.3f}"
    )


def greatest_cox_snell_r2(prevalence: float) -> float:
    """The Cox-Snell R squared of a model that knows every outcome: below 1 for a binary one."""
    return 1 - (prevalence**prevalence * (1 - prevalence) ** (1 - prevalence)) ** 2


def required_rows(parameters: int, prevalence: float, cox_snell_r2: float) -> dict[str, int]:
    """The rows that each criterion asks for.

    Args:
        parameters: candidate predictor parameters, at least 1.
        prevalence: share of positive outcomes, between 0 and 1.
        cox_snell_r2: anticipated of the model, above 0 and below its maximum at this prevalence.

    Returns:
        ``shrinkage``, ``optimism``, ``overall_risk``, and up to ``PARAMETERS_WITH_ERROR`` ``absolute_error``.

    Raises:
        Refused: no model can have such an R squared.
    """
    greatest = greatest_cox_snell_r2(prevalence)
    if not 0 < cox_snell_r2 < greatest:
        raise Refused(
            f"Received an anticipated Cox-Snell R squared of {cox_snell_r2:g} at a prevalence of {prevalence:.3g}; "
            f"expected one above 0 and below {greatest:.3g}, the greatest there. Mend `gates.cox_snell_r2`."
        )
    of_optimism = cox_snell_r2 / (cox_snell_r2 + OPTIMISM * greatest)
    rows = {
        "shrinkage": _rows_to_shrink_by(SHRINKAGE, parameters, cox_snell_r2),
        "optimism": _rows_to_shrink_by(of_optimism, parameters, cox_snell_r2),
        "overall_risk": (Z / MARGIN_OF_RISK) ** 2 * prevalence * (1 - prevalence),
    }
    if parameters <= PARAMETERS_WITH_ERROR:
        of_model = -0.508 + 0.259 * math.log(prevalence) + 0.504 * math.log(parameters)
        rows["absolute_error"] = math.exp((of_model - math.log(ABSOLUTE_ERROR)) / 0.544)
    return {name: math.ceil(number) for name, number in rows.items()}


def sample_size(task: Task, dataset: Dataset, force: bool = False) -> SampleSize:
    """What ``task`` requires and what the data set's training split has.

    Raises:
        Held: the task's gate asks for more, and is not overridden by ``force``.
    """
    train, gates = dataset.split("train"), task.gates
    prevalence = train.positives / train.rows
    r2 = gates.cox_snell_r2 or SHARE_OF_GREATEST * greatest_cox_snell_r2(prevalence)
    people = np.unique(np.concatenate([np.unique(rows.subject_id) for rows in in_order(train.only([]))])).size
    criteria = required_rows(dataset.width, prevalence, r2)
    short = gates.sample_size is not None and train.rows < max(criteria.values())
    found = SampleSize(dataset.width, prevalence, r2, criteria, train.rows, int(people), short and force)
    if short and not force:
        raise Held(
            f"Received {found.rows:,} labelled rows of {found.people:,} people to train {task.id} on; expected at "
            f"least {found.required:,} for {found.parameters} inputs at a prevalence of {prevalence:.3f} (gate "
            "sample_size, Riley et al. 2020). Ingest more people, ask for fewer features, or train with --force: the "
            "model card will say so."
        )
    return found


def _rows_to_shrink_by(shrinkage: float, parameters: int, r2: float) -> float:
    return parameters / ((shrinkage - 1) * math.log(1 - r2 / shrinkage))

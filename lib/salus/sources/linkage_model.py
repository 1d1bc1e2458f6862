"""A model of probabilistic linkage, in the settings file that Splink saves (conf/linkage/splink.json).

Fellegi and Sunter (1969): the evidence that two records are one person's is the sum, over comparisons, of
log2(m / u): how often the level that holds is seen among records of one person (m) and of two (u). Splink trains m and
u and saves them; its conditions are Spark SQL. So the model is applied here as the sum that it is, over whole tables.
Source: https://moj-analytical-services.github.io/splink/topic_guides/theory/fellegi_sunter.html.
"""

import math
import re
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from salus.settings import conf_dir, load_yaml, validated

SIDE = re.compile(r"[`\"]?\b([A-Za-z]\w*?)_([lr])\b[`\"]?")
EQUAL = re.compile(r"\(?\s*l\.[`\"]?(\w+)[`\"]?\s*=\s*r\.[`\"]?(\w+)[`\"]?\s*\)?", re.IGNORECASE)
Probability = Field(None, gt=0, le=1)


class Saved(BaseModel):
    """A part of Splink's file: what is not read here (charts, training) is let be."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Level(Saved):
    """One outcome of a comparison."""

    sql_condition: str
    is_null_level: bool = False
    m_probability: float | None = Probability
    u_probability: float | None = Probability
    tf_adjustment_column: str | None = None

    @model_validator(mode="after")
    def _is_trained(self):
        if not self.is_null_level and (self.m_probability is None or self.u_probability is None):
            raise ValueError(f"the level `{self.sql_condition}` has no m or no u; expected a trained model")
        if self.tf_adjustment_column:
            raise ValueError(
                "a level has a term frequency adjustment; expected none: a pair's weight must not depend on who else "
                "was delivered"
            )
        return self

    @property
    def bits(self) -> float:
        """Its evidence; what is not known is none."""
        return 0.0 if self.is_null_level else math.log2(float(self.m_probability or 1) / float(self.u_probability or 1))


class Comparison(Saved):
    """What two records say of one thing."""

    comparison_levels: list[Level] = Field(min_length=2)

    @property
    def bits(self) -> str:
        """The evidence as Spark SQL over ``<field>_l`` and ``<field>_r``: of the first level that holds."""
        told = [
            f"WHEN {level.sql_condition} THEN {level.bits!r}D"
            for level in self.comparison_levels
            if level.sql_condition.strip().upper() != "ELSE"
        ]
        rest = [level.bits for level in self.comparison_levels if level.sql_condition.strip().upper() == "ELSE"]
        return f"CASE {' '.join(told)} ELSE {sum(rest)!r}D END"


class BlockingRule(Saved):
    """Which pairs are looked at: those that have all of some fields in common."""

    blocking_rule: str

    @field_validator("blocking_rule")
    @classmethod
    def _is_of_equal_fields(cls, rule):
        for part in re.split(r"\s+AND\s+", rule, flags=re.IGNORECASE):
            found = EQUAL.fullmatch(part.strip())
            if not found or found.group(1) != found.group(2):
                raise ValueError(
                    f"received the blocking rule `{rule}`; expected equal fields only, as in "
                    "l.family = r.family AND l.zip3 = r.zip3, because they bound the pairs"
                )
        return rule

    @property
    def fields(self) -> list[str]:
        """The fields that a pair has in common."""
        return [one for one, _ in EQUAL.findall(self.blocking_rule)]


class LinkageModel(Saved):
    """Splink's settings, trained."""

    link_type: Literal["link_only", "link_and_dedupe"] = Field(
        description="link_only: a dataset names each of its people once"
    )
    sql_dialect: Literal["spark"] = "spark"
    probability_two_random_records_match: float = Field(gt=0, lt=1)
    blocking_rules_to_generate_predictions: list[BlockingRule] = Field(min_length=1)
    comparisons: list[Comparison] = Field(min_length=1)

    @cached_property
    def fields(self) -> list[str]:
        """The fields that the model looks at."""
        conditions = [level.sql_condition for one in self.comparisons for level in one.comparison_levels]
        named = {name for text in conditions for name, _ in SIDE.findall(text)}
        return sorted(named.union(*(rule.fields for rule in self.blocking_rules_to_generate_predictions)))

    @property
    def bits(self) -> str:
        """The weight of a pair as Spark SQL, in bits: log2 of the odds that it is one person."""
        prior = self.probability_two_random_records_match
        return " + ".join([f"{math.log2(prior / (1 - prior))!r}D", *(f"({one.bits})" for one in self.comparisons)])


def model_path() -> Path:
    """Where the model lies."""
    return conf_dir() / "linkage" / "splink.json"


def read_model() -> LinkageModel:
    """The model in conf/linkage/splink.json.

    Raises:
        Refused: there is none, or it cannot be applied; the line is named.
    """
    path = model_path()
    return validated(LinkageModel, load_yaml(path), path)

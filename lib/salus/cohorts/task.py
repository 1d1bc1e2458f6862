"""A task: one YAML that states everything about one prediction.

It is compiled twice from the same parts: with labels for training, and without them for tonight. docs/tasks.md
explains every key; a key that is misspelt, missing or of the wrong kind is refused with its line.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from salus.cohorts.adherence import Fills
from salus.cohorts.card import Card
from salus.cohorts.label import Label
from salus.cohorts.search_space import Candidates, check_space
from salus.cohorts.treatment import Treatment
from salus.errors import Refused
from salus.settings import Strict, conf_dir, load_yaml, validated
from salus.timelines.features import FeatureSettings

SPLITS = ("train", "tuning", "calibration", "held_out")


OF_EVENTS = ("label_smoothing", "positive_weight", "focal_gamma")
"""Settings of a model that mean something for events only."""


class IndexEvent(Strict):
    """What makes a person worth predicting for: on the first night on which it is known, or before what it plans."""

    codes: tuple[str, ...] = Field(min_length=1, description="how the codes of the index event begin")
    within_days: int = Field(default=1, ge=1, description="days before the prediction within which it happened")
    continued_by: tuple[str, ...] = Field(
        default=(), description="how codes begin that, within a day of the event, continue what it ended"
    )
    systems: tuple[str, ...] = Field(
        default=(), description="code systems, such as NDC, of which the codes are; left out: any"
    )
    nth_day: int | None = Field(
        default=None, ge=1, description="once a person: the day that many days with such an event are known"
    )
    days_before: int | None = Field(
        default=None,
        ge=0,
        description="the event plans something, as many days ahead as its number says; predict so many days before it",
    )

    @model_validator(mode="after")
    def _one_way_to_a_night(self):
        if self.nth_day is not None and self.continued_by:
            raise ValueError("nth_day counts days and continued_by joins stays; expected one of them")
        if self.days_before is not None and (self.nth_day is not None or self.continued_by or self.within_days != 1):
            raise ValueError(
                "days_before is counted from what the event plans; expected none of nth_day, continued_by and "
                "within_days beside it"
            )
        return self


class Index(Strict):
    """The prediction times, each at 00:00 UTC: a calendar for everybody, or the nights on which an event is new."""

    every: Literal["month", "week", "day"] = Field(
        default="month", description="first of the month, or Monday; every day with an event"
    )
    last: int = Field(default=24, ge=1, description="dates, counted back from the last that can be labelled")
    event: IndexEvent | None = Field(
        default=None, description="only people of whom this became known the day before, or is planned"
    )

    @model_validator(mode="after")
    def _events_are_looked_for_every_day(self):
        if (self.event is None) == (self.every == "day"):
            raise ValueError("every: day and event belong together; an event is predicted from on its first night")
        return self


class Eligibility(Strict):
    """Who is predicted for at T, from what was available at T."""

    age_at_least: float | None = Field(default=None, ge=0, description="years")
    alive: bool = Field(default=True, description="leave out who was known at T to have died")
    enrolled_at_prediction: bool = Field(default=True, description="a span of coverage known at T holds T")
    look_back_days: int = Field(default=365, ge=1, description="the days before T over which enrolment is counted")
    enrolled_days_at_least: int = Field(default=0, ge=0, description="days enrolled within the look-back")
    largest_gap_days: int | None = Field(default=None, ge=0, description="longest gap within the look-back, days")
    no_history_of: tuple[str, ...] = Field(
        default=(), description="how codes begin of which nothing may be known at T, such as the condition itself"
    )
    days_supply_of: Fills | None = Field(
        default=None, description="fills whose days' supply must be known at T; else nobody is scored, and says why"
    )

    @model_validator(mode="after")
    def _look_back_holds_the_days(self):
        if self.enrolled_days_at_least > self.look_back_days:
            raise ValueError(f"enrolled_days_at_least must be at most look_back_days ({self.look_back_days})")
        return self


class Splits(Strict):
    """Who is learnt from and who is held out: shares of people, by hash of the subject_id, for good.

    With ``by: time`` or ``by: site`` the shares deal out those who are not held out by their date or their site.
    """

    by: Literal["person", "time", "site"] = Field(
        default="person",
        description="who is held out. person: the share held_out; time: everybody on the last index dates; site: "
        "everybody of some care sites",
    )
    held_out_last: int | None = Field(default=None, ge=1, description="by time: how many of the last index dates")
    held_out_sites: tuple[str, ...] = Field(default=(), description="by site: the care sites, as the sources name them")
    train: float = Field(default=0.6, gt=0, lt=1)
    tuning: float = Field(default=0.1, gt=0, lt=1)
    calibration: float = Field(default=0.1, gt=0, lt=1)
    held_out: float = Field(default=0.2, gt=0, lt=1)

    @model_validator(mode="after")
    def _shares_add_up(self):
        total = sum(self.shares.values())
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares of {', '.join(SPLITS)} must add up to 1, not {total:g}")
        return self

    @model_validator(mode="after")
    def _says_who_is_held_out(self):
        for name, by in (("held_out_last", "time"), ("held_out_sites", "site")):
            if bool(getattr(self, name)) != (self.by == by):
                raise ValueError(f"{name} and by: {by} belong together; expected both or neither")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Share of people of each split, in the order in which the hash is cut.

        Where sites are held out, nobody else is: the other shares add up to 1.
        """
        shares = {name: getattr(self, name) for name in SPLITS}
        if self.by != "site":
            return shares
        learnt_from = 1 - shares.pop("held_out")
        return {name: share / learnt_from for name, share in shares.items()}

    @property
    def stated(self) -> dict[str, Any]:
        """The shares, and what else says who is held out."""
        others = {"by", "held_out_last", "held_out_sites"} if self.by != "person" else set()
        return self.shares | self.model_dump(mode="json", include=others)


class ModelSettings(Strict):
    """How a network is shaped and trained."""

    hidden: tuple[int, ...] = Field(default=(), description="units of each hidden layer")
    units: int = Field(default=32, ge=1, description="width of embedded events, recurrent states and convolutions")
    layers: int = Field(default=2, ge=1, description="layers of attention or convolution")
    attention_heads: int = Field(default=2, ge=1, description="heads of each layer of attention; a divisor of units")
    dropout: float = Field(default=0.0, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0, description="penalty of the squared weights")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="share of a label given to both classes evenly")
    positive_weight: float = Field(default=1.0, gt=0, description="how many negatives a positive counts as")
    focal_gamma: float = Field(
        default=0.0, ge=0, description="focal loss: how much less an easy sample counts; 0 = not"
    )
    learning_rate: float = Field(default=0.001, gt=0)
    warm_up_epochs: float = Field(default=0.0, ge=0, description="over which the learning rate rises to its height")
    rate_by_ranks: Literal["none", "sqrt", "linear"] = Field(
        default="none", description="how the learning rate grows with the number of ranks, whose batches add up"
    )
    epochs: int = Field(default=20, ge=1, description="at most")
    batch_size: int = Field(default=512, ge=1, description="samples a rank and step")
    patience: int = Field(default=3, ge=1, description="epochs without a better tuning loss before training stops")
    gradient_compression: Literal["none", "fp16"] = Field(
        default="none", description="fp16: gradients travel between ranks in half the bytes"
    )
    precision: Literal["float32", "mixed_bfloat16"] = Field(
        default="float32",
        description="mixed_bfloat16: products in 16 bits, for GPUs that have them; the packaged model has 32",
    )
    seed: int = 7
    reader: Literal["petastorm", "arrow"] = Field(default="petastorm", description="both give the same batches")

    @property
    def of_events(self) -> list[str]:
        """Those of ``OF_EVENTS`` that are other than by default."""
        return [name for name in OF_EVENTS if getattr(self, name) != type(self).model_fields[name].default]


class Pretraining(Strict):
    """How the encoder of the model's sequence is pre-trained; its shape, dropout and seed are the model's."""

    cuts: int = Field(default=8, ge=1, description="at most so many cut times a person, the newest index dates")
    apart_days: int = Field(default=90, ge=1, description="days between them, at least")
    ahead_days: int = Field(default=90, ge=1, description="codes to come are those of so many days after an event")
    learning_rate: float = Field(default=0.003, gt=0)
    epochs: int = Field(default=30, ge=1, description="at most")
    batch_size: int = Field(default=256, ge=1, description="samples a rank and step")
    patience: int = Field(default=3, ge=1, description="epochs without a better loss before training stops")
    encoder_rate: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of the model's learning rate at which the encoder's weights go on where "
        "`train --pretrained` begins from it; 0: they stay as they are",
    )

    @property
    def of_samples(self) -> dict[str, int]:
        """What says as of when people are read."""
        return self.model_dump(include={"cuts", "apart_days"})

    @property
    def of_training(self) -> dict[str, Any]:
        """What takes the place of the model's own settings."""
        return self.model_dump(exclude={*self.of_samples, "encoder_rate"})


class Model(Strict):
    """An architecture of ``salus.models`` with its settings."""

    architecture: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    settings: ModelSettings = ModelSettings()


class Calibration(Strict):
    """How raw scores become probabilities, or estimates of a number, on the calibration split."""

    method: Literal["platt", "beta", "isotonic", "venn_abers", "scale", "none"] = Field(
        default="platt",
        description="platt: two coefficients; beta: three; isotonic: any curve that never falls; venn_abers: two such "
        "curves, between which the probability lies; scale, for counts and costs: one factor; none: left as it is",
    )


class Tier(Strict):
    """A named band of risk, from a percentile of the night or from a probability upward."""

    name: str
    from_percentile: float | None = Field(default=None, ge=0, le=100)
    from_probability: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _one_bound(self):
        if (self.from_percentile is None) == (self.from_probability is None):
            raise ValueError("a tier needs exactly one of from_percentile and from_probability")
        return self


class Gates(Strict):
    """What must hold before labels are trained on."""

    positives_at_least: int = Field(default=1, ge=1, description="positive labels, or those above nought, in all")
    positives_in_each_split_at_least: int = Field(default=1, ge=1, description="the same, in every split")
    positives_in_each_fold_at_least: int = Field(default=1, ge=1, description="the same, in every fold")
    sample_size: Literal["riley"] | None = Field(
        default=None, description="hold the training of fewer rows than Riley's minimum for the number of inputs"
    )
    cox_snell_r2: float | None = Field(
        default=None, gt=0, lt=1, description="anticipated for it; null = 15 % of the greatest at the prevalence"
    )
    promote: float = Field(
        default=0.01,
        ge=0,
        lt=0.5,
        description="AUROC (of numbers: D squared) that a challenger may lose to the champion, by its lower bound",
    )


class Task(Strict):
    """One prediction, from its index dates to its gates."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="the file's name without .yml")
    title: str
    index: Index = Index()
    eligibility: Eligibility
    label: Label
    splits: Splits = Splits()
    folds: int = Field(default=5, ge=2, description="cross-validation folds, by person")
    features: FeatureSettings
    model: Model
    pretraining: Pretraining = Field(
        default=Pretraining(), description="what `pretrain` does, of a model that reads the sequence of events"
    )
    tune: dict[str, Candidates] = Field(default={}, description="settings of the model that `tune` searches, by name")
    baseline: Model = Model(architecture="logistic")
    calibration: Calibration = Calibration()
    tiers: list[Tier] = Field(min_length=1, description="highest first")
    suspect_above: float | None = Field(
        default=None, gt=0.5, lt=1, description="AUROC on people held out above which a leak is suspected and told"
    )
    treatment: Treatment | None = Field(
        default=None, description="what the scores are acted on with, for an evaluation that tells what it hides"
    )
    gates: Gates = Gates()
    card: Card = Field(default=Card(), description="what only people can state, for the model card")

    @field_validator("tune")
    @classmethod
    def _settings_can_be_tuned(cls, space):
        check_space(space, ModelSettings)
        return space

    @field_validator("tiers")
    @classmethod
    def _tiers_descend(cls, tiers):
        for bound in ("from_percentile", "from_probability"):
            values = [getattr(tier, bound) for tier in tiers if getattr(tier, bound) is not None]
            if values != sorted(values, reverse=True):
                raise ValueError(f"tiers must be listed from the highest {bound} to the lowest")
        return tiers

    @model_validator(mode="after")
    def _dates_are_left_to_learn_from(self):
        if self.splits.held_out_last is not None and self.splits.held_out_last >= self.index.last:
            raise ValueError(
                f"splits.held_out_last must be less than the index's dates, index.last ({self.index.last})"
            )
        return self

    @model_validator(mode="after")
    def _label_is_learnt_and_told_as_its_kind(self):
        kind, method = self.label.kind, self.calibration.method
        fitting: tuple[str, ...] = ("platt", "beta", "isotonic", "venn_abers", "none")
        if kind.is_number:
            fitting = ("none",) if kind.quantiles else ("scale", "none")
        if method not in fitting:
            raise ValueError(
                f"calibration.method is {method}; expected one of {', '.join(fitting)} for the {kind.name} of label"
            )
        if kind.is_number and any(tier.from_percentile is None for tier in self.tiers):
            raise ValueError(f"a {kind.name} has no probability; expected tiers to begin from_percentile")
        if kind.is_number and self.treatment is not None:
            raise ValueError(
                f"a {kind.name} has no share of events to tell what treatment hides; expected no treatment"
            )
        if kind.is_number and self.suspect_above is not None:
            raise ValueError(f"a {kind.name} has no AUROC; expected no suspect_above")
        if not kind.is_event and self.gates.sample_size:
            raise ValueError(f"a {kind.name} has no prevalence of one event to plan by; expected no gates.sample_size")
        of_models = [name for each in (self.model, self.baseline) for name in each.settings.of_events]
        asked = dict.fromkeys([*of_models, *(name for name in self.tune if name in OF_EVENTS)])
        if asked and not kind.is_event:
            raise ValueError(f"{' and '.join(asked)} are of events; expected none of them for a {kind.name}")
        return self

    @classmethod
    def load(cls, name: str) -> "Task":
        """The task ``name`` of conf/tasks.

        Raises:
            Refused: there is no such task, or its file does not state one; file, line and key are named.
        """
        path = tasks_dir() / f"{name}.yml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in tasks_dir().glob("*.yml"))) or "none"
            raise Refused(f"Received the task {name!r}; expected one of {tasks_dir()}: {known}. Name one of them.")
        return cls.from_file(path)

    @classmethod
    def from_file(cls, path: Path) -> "Task":
        """The task that the YAML file ``path`` states."""
        task = validated(cls, load_yaml(path), path)
        if task.id != path.stem:
            raise Refused(f"{path}: received the id {task.id!r}; expected the file's name, {path.stem!r}. Rename one.")
        return task

    @property
    def hash(self) -> str:
        """SHA-256 of everything that the task states, first 32 hex digits."""
        return _hash(self.model_dump(mode="json"))

    @property
    def cohort_hash(self) -> str:
        """SHA-256 of what its cohort depends on: neither features nor model, tiers nor card."""
        content = self.model_dump(mode="json", include={"id", "index", "eligibility", "label", "splits", "folds"})
        gates = {name: value for name, value in self.gates.model_dump().items() if name.startswith("positives_")}
        return _hash(content | {"gates": gates})

    @property
    def label_hash(self) -> str:
        """SHA-256 of what is predicted: only models of the same can be compared, and take each other's place."""
        return _hash(self.model_dump(mode="json", include={"id", "label"}))


def tasks_dir() -> Path:
    """The folder of task files."""
    return conf_dir() / "tasks"


def _hash(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]

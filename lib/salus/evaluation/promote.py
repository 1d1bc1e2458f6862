"""Promote: let a challenger take the champion's place where it is not worse on the same people.

Both are asked about the same rows of the newest cohort's people held out, each by its own feature spec and with its
own calibration, so they may come of different data sets. The challenger takes the place where the lower bound of the
paired difference (bootstrap clustered by person) lies above the task's margin, downward: it is not inferior. Models of
an event are compared by AUROC, those of a count or a cost by the share of the deviance that they explain (D squared),
and where quantiles are told by that of the absolute error.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from salus.cohorts.label import Kind
from salus.cohorts.task import Task
from salus.errors import Held, Refused
from salus.evaluation.asked import asked, held_out_rows
from salus.evaluation.bootstrap import REPLICATES
from salus.evaluation.contest import contest_of
from salus.evaluation.measures import Rows, measures_of
from salus.evaluation.metrics import Sample
from salus.evaluation.times import at_horizon
from salus.evaluation.trained import Trained, calibration_of, champion, names_of, package_url, trained
from salus.job import Job
from salus.training.champion import CHALLENGER, CHAMPION, FIRST, FORCED, HELD, PROMOTED, crown, decision
from salus.training.package import package_bytes, package_info
from salus.training.registry import registry_of

ROWS = 200_000
"""Of people held out, drawn by hash where there are more."""


class Comparison(NamedTuple):
    """How models of one kind of label are compared.

    Attributes:
        metric: the one that decides, of table ``evaluations``.
        title: what it is called.
        over: the metric that is its paired difference.
        metrics: what is told of both.
        of_models: ``Measures.of_models`` of the kind.
    """

    metric: str
    title: str
    over: str
    metrics: tuple[str, ...]
    of_models: Callable[..., Rows]


def comparison_of(kind: Kind) -> Comparison:
    """How models of labels of ``kind`` are compared: by what they are ranked by on folds."""
    contest = contest_of(kind)
    told = tuple(contest.metrics) if kind.is_number else (*contest.metrics, "calibration_intercept")
    title, over = contest.metrics[contest.ranked_by], contest.over("baseline")
    return Comparison(contest.ranked_by, title, over, told, measures_of(kind).of_models)


def promote(job: Job, task: Task, version: str | None = None, force: bool = False) -> dict[str, Any]:
    """Compare a model of ``task`` with the champion, and let it take its place.

    Args:
        job: the run.
        task: the task.
        version: of the challenger; None = the newest model.
        force: let it take the place whatever the comparison says.

    Returns:
        The figures of both, as ``compared`` gives them; empty where nothing was compared.

    Raises:
        Held: the challenger may be worse by more than the margin, or the two can't be compared.
        Refused: there is no such model, or one of them was never calibrated.
    """
    name, margin, by = names_of(task)[0], task.gates.promote, comparison_of(task.label.kind)
    challenger, reigning = trained(job.tables, task.id, name, version), champion(job.tables, task)
    if reigning is not None and reigning.package_hash == challenger.package_hash:
        job.count(champion=reigning.model_version, decision="none: it is the champion")
        return {}
    _may_score(job, task, challenger)
    if reigning is None:
        found, decided, reason = {}, FIRST, None
    else:
        found = _compared(job, task, by, challenger, reigning)
        reason = held_for(by, found, challenger.model_version, reigning.model_version, margin)
        decided = PROMOTED if reason is None else FORCED if force else HELD
    row = {"champion_version": reigning and reigning.model_version, **_row(by, found, margin)}
    job.tables.append("promotions", decision(job, task, vars(challenger), decided, row))
    if decided == HELD:
        job.publish()
        raise Held(f"{reason} The champion stays: train again, or promote with --force, which is recorded.")
    crown(registry_of(job, task.id), name, challenger.model_version)
    job.count(champion=challenger.model_version, decision=decided)
    return found


def compared(
    by: Comparison, sample: Sample, challenger: np.ndarray, champion: np.ndarray, replicates: int = REPLICATES
) -> dict[str, Any]:
    """Both models on the same rows and the same replicates.

    Args:
        by: how they are compared.
        sample: the rows.
        challenger: calibrated probability or estimate (rows,).
        champion: calibrated probability or estimate (rows,).
        replicates: of the bootstrap.

    Returns:
        ``difference``, ``challenger`` and ``champion``, the latter two by metric: value, low and high each; and
        ``people`` and ``rows``. Where labels are all alike only the last two.
    """
    rows = by.of_models(sample, {"model": challenger, "baseline": champion}, replicates=replicates)
    found = {(row["model_name"], row["metric"]): row for row in rows}
    figures: dict[str, Any] = {"people": int(np.unique(sample.people).size), "rows": int(sample.labels.size)}
    if not found:
        return figures

    def bounds(model, metric):
        return {each: found[model, metric][each] for each in ("value", "low", "high")}

    figures["difference"] = bounds("model", by.over)
    for title, model in ((CHALLENGER, "model"), (CHAMPION, "baseline")):
        figures[title] = {metric: bounds(model, metric) for metric in by.metrics}
    return figures


def held_for(by: Comparison, found: Mapping[str, Any], challenger: str, champion: str, margin: float) -> str | None:
    """Why the challenger does not take the champion's place, as received and expected; None where it does.

    Args:
        by: how they were compared.
        found: what ``compared`` gave, or a reason why nothing was compared under ``incomparable``.
        challenger: its version.
        champion: its version.
        margin: of the metric that decides, what may be lost at most.
    """
    if "incomparable" in found:
        return found["incomparable"]
    if "difference" not in found:
        expected = "numbers above 0" if by.metric.startswith("d2") else "both classes"
        return f"Received {found['rows']} labels of people held out, all alike; expected {expected}."
    difference = found["difference"]
    if difference["low"] > -margin:
        return None
    return (
        f"Received {by.title} {found[CHALLENGER][by.metric]['value']:.3f} of challenger version {challenger} and "
        f"{found[CHAMPION][by.metric]['value']:.3f} of champion version {champion} on {found['people']:,} people held "
        f"out: {said(difference)}; expected a lower bound above {-margin:g} (gate promote)."
    )


def table(by: Comparison, found: Mapping[str, Any]) -> str:
    """The comparison as lines of text, metrics by model."""
    lines = [f"  {'':<24}{CHALLENGER:>28}{CHAMPION:>28}"]
    for metric in by.metrics:
        cells = [said(found[model][metric], sign="") for model in (CHALLENGER, CHAMPION)]
        lines.append(f"  {metric.replace('_', ' '):<24}" + "".join(f"{cell:>28}" for cell in cells))
    return "\n".join([*lines, f"  {by.title}, challenger less champion: {said(found['difference'])}"])


def said(figure: Mapping[str, float], sign: str = "+") -> str:
    """``+0.012 (-0.003 to +0.026)``."""
    value, low, high = (f"{figure[each]:{sign}.3f}" for each in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _may_score(job: Job, task: Task, model: Trained) -> None:
    """Refuse a model that was never calibrated, or predicts something else than ``task``."""
    calibration_of(job.tables, model)
    if package_info(package_url(job, model)).get("label_hash") != task.label_hash:
        raise Refused(
            f"Received {model.model_name} version {model.model_version}, which was trained for another label than "
            f"{task.id} states now; expected the same. Train again: submit.sh train."
        )


def _compared(job: Job, task: Task, by: Comparison, challenger: Trained, champion: Trained) -> dict[str, Any]:
    for role, model in ((CHALLENGER, challenger), (CHAMPION, champion)):
        splits = package_info(package_url(job, model)).get("splits")
        if splits != task.splits.stated:
            return {
                "incomparable": f"Received a {role} that was trained with the splits {splits}; expected the task's, "
                f"{task.splits.stated}, since it may have learnt from people held out now."
            }
    models = (challenger, champion)
    packages = [job.spark.sparkContext.broadcast(package_bytes(package_url(job, model))) for model in models]
    try:
        rows = held_out_rows(job.tables, task, ROWS)
        sample, logits = asked(rows, job.tables.read("timelines"), [(package, "available") for package in packages])
    finally:
        for package in packages:
            package.unpersist()
    place, known = at_horizon(task, sample)
    of_challenger, of_champion = (
        calibration_of(job.tables, model).calibrated(each[place]) for model, each in zip(models, logits, strict=True)
    )
    found = compared(by, known, of_challenger, of_champion)
    if "difference" in found:
        job.progress(f"asked both about {found['rows']:,} rows of people held out\n{table(by, found)}")
    return found


def _row(by: Comparison, found: Mapping[str, Any], margin: float) -> dict[str, Any]:
    difference = found.get("difference", {})
    return {
        "metric": by.metric if found else None,
        "difference": difference.get("value"),
        "low": difference.get("low"),
        "high": difference.get("high"),
        "margin": margin if found else None,
        "people": found.get("people"),
        "rows": found.get("rows"),
        "figures": json.dumps({model: found[model] for model in (CHALLENGER, CHAMPION)}) if difference else None,
    }

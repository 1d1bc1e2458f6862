"""Provenance: how long each phase took, and from which code, packages, tables and model the report comes."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from salus.report import plots, words
from salus.report.night import Night
from salus.report.page import Missing, Plot, Section, Table
from salus.report.phases import Phase
from salus.report.told import PROBABILITY, Told
from salus.storage.ledger import code_version
from salus.storage.tables import Tables
from salus.training.newest import newest_model

TITLE = "How it was made"


def model_row(tables: Tables, scoring: Night) -> Row | None:
    """The row of ``models`` of the model that scored; None where there is none."""
    is_its = (F.col("model_name") == scoring.model_name) & (F.col("model_version") == scoring.model_version)
    return newest_model(tables, is_its)


def newest_snapshot(tables: Tables) -> Row | None:
    """The snapshot through which everything here was read; None where nothing was ever published."""
    return tables.read("snapshots").orderBy(F.desc("published_at")).limit(1).head()


def provenance_section(
    took: Sequence[Phase], made_of: Mapping[str, str], inputs: Mapping[str, int], installed: Mapping[str, str]
) -> Section:
    """Timings and versions."""
    question = "Seconds on the wall clock of each phase, when it last did its work, and the versions of everything."
    blocks = [*_timings(took), Table("Identity of this run", ("What", "Version"), list(made_of.items()))]
    if inputs:
        blocks.append(
            Table(
                "Delta versions that the scores read",
                ("Table", "Version"),
                [(name, words.count(number)) for name, number in sorted(inputs.items())],
                numeric=("Version",),
                half=True,
            )
        )
    blocks.append(Table("Packages", ("Package", "Version"), list(installed.items()), half=True))
    return Section("provenance", TITLE, question, blocks)


def identity(
    scoring: Night | None,
    model: Row | None,
    snapshot: Row | None,
    told: Told = PROBABILITY,
    pretrained: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """What names this run, in words; ``pretrained`` is what the model's package says of its encoder."""
    found = {"Code": code_version()}
    if snapshot is not None:
        found["Snapshot"] = f"{snapshot['snapshot_id']} of {snapshot['published_at']:%Y-%m-%d %H:%M:%S} UTC"
    if scoring is not None:
        found |= {
            "Scoring run": f"{scoring.run_id}, finished {scoring.finished_at:%Y-%m-%d %H:%M:%S} UTC",
            "Scored by code": scoring.code_version,
            "Model": f"{scoring.model_name}, version {scoring.model_version}",
            "Calibration": scoring.calibration_version or words.ABSENT,
            "Feature spec (SHA-256)": scoring.feature_spec_hash,
        }
    if model is not None:
        found |= {
            "Architecture": model["architecture"],
            "Trained": f"{model['trained_at']:%Y-%m-%d %H:%M:%S} UTC",
            told.usual.capitalize(): told.said(model["prevalence"]),
            "Model package (SHA-256)": model["package_hash"],
            "Training data (SHA-256)": model["dataset_hash"],
        }
    if pretrained:
        found |= {
            "Began from": "{model_name}, version {model_version} ({objective})".format(**pretrained),
            "Encoder package (SHA-256)": pretrained["package_hash"],
            "Encoder's training data (SHA-256)": pretrained["dataset_hash"],
        }
    return found


def _timings(took):
    worked = [phase for phase in took if phase.worked_seconds is not None]
    if not worked:
        return [Missing("Timings", "demo")]
    total = sum(phase.worked_seconds for phase in worked)
    figure = plots.bars(
        [phase.name for phase in worked],
        [phase.worked_seconds for phase in worked],
        [words.seconds(phase.worked_seconds) for phase in worked],
        "seconds",
    )
    return [
        Plot(figure, f"Seconds of each phase; {words.seconds(total)} in all. The report itself is not yet counted."),
        Table(
            "Phases",
            ("Phase", "Worked at (UTC)", "Seconds", "Last called"),
            [
                (
                    phase.name,
                    f"{phase.worked_at:%Y-%m-%d %H:%M:%S}",
                    words.number(phase.worked_seconds, 1),
                    "nothing new" if phase.latest_status == "skipped" else "worked",
                )
                for phase in worked
            ],
            numeric=("Seconds",),
            total=("All", "", words.number(total, 1), ""),
        ),
    ]

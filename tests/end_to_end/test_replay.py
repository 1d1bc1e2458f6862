"""Weeks of deliveries, replayed: what each night saw is what training finds afterwards for that night, bit for bit.

Results are released, corrected and withdrawn from week to week, and people come to be known. Each Monday's delivery
holds what was released in the week before; it is taken in, timelines are made, and the inputs of everybody are kept as
the night would have them. When all has come, training asks the last timelines for all of these Mondays at once.
"""

import shutil
from datetime import datetime, time
from pathlib import Path

import numpy as np
import pytest

from registry_deliveries import FIRST, PEOPLE, WEEK, deliveries
from salus.cohorts.cohort import eligible
from salus.cohorts.task import Eligibility, Task
from salus.datasets.export import inputs_by
from salus.privacy.pseudonyms import create_key
from salus.scoring.population import TIMELINE_COLUMNS
from salus.settings import conf_dir
from salus.sources.ingest import ingest
from salus.timelines.blocks import EventSequence
from salus.timelines.build import build
from salus.timelines.clocks import micros
from salus.timelines.spec import CodeGroup, FeatureSpec, Statistics

REGISTRY = Path(__file__).resolve().parents[1] / "data" / "registry.yml"
CODE = "REGISTRY/A"


def spec_of(tables):
    """Counts, numbers and the sequence of the registry's results."""
    found = tables.read("codes").where(f"code = '{CODE}'").head()
    group = {"codes": (CODE,), "code_hashes": (found["code_hash"],)}
    sequence = EventSequence(length=8, labels=("A",), mean=(50.0,), std=(30.0,), **group)
    spec = FeatureSpec(
        windows_days=(30, 90),
        numeric_windows_days=(90,),
        count_statistics=("count", "days_since_last", "distinct_days"),
        numeric_statistics=("last", "min", "max", "mean", "slope"),
        groups=(CodeGroup(name="a", label="A", kind="numeric", **group),),
        sequence=sequence,
    )
    features = len(spec.names)
    return spec.model_copy(update={"statistics": Statistics(mean=(0.5,) * features, std=(2.0,) * features)})


def asked(tables, spec, times):
    """The inputs of everybody at ``times``: (subject, time) to each block of its sample."""
    people = tables.read("timelines").select(*TIMELINE_COLUMNS).toArrow().combine_chunks().to_batches()[0]
    row = np.repeat(np.arange(people.num_rows), len(times))
    at = np.tile(np.array(times), people.num_rows)
    made = inputs_by(spec)(people, row, at)
    subjects = people.column("subject_id").to_numpy()[row]
    return {
        (subject, time): {name: made[name][n] for name in made} for n, (subject, time) in enumerate(zip(subjects, at))
    }


@pytest.mark.parametrize("weeks", [3, pytest.param(26, marks=pytest.mark.slow)])
def test_what_each_night_saw_is_what_training_finds_for_it(job_in, tmp_path, monkeypatch, weeks):
    shutil.copytree(conf_dir(), tmp_path / "conf")
    shutil.copy(REGISTRY, tmp_path / "conf" / "sources")
    monkeypatch.setenv("SALUS_CONF", str(tmp_path / "conf"))
    changed = deliveries(weeks, tmp_path / "landing")
    rules = Eligibility(age_at_least=50, enrolled_at_prediction=False)
    task = Task.load("admission_90d").model_copy(update={"eligibility": rules})
    nights, kept, seen, warehouse = [FIRST + week * WEEK for week in range(weeks)], {}, {}, tmp_path / "warehouse"

    def kept_at(tables, night):
        lost = eligible(tables.read("timelines"), tables.read("codes"), task, [night])
        return {row["subject_id"] for row in lost.where("step_lost = 0").collect()}

    for week, night in enumerate(nights):
        delivered = datetime.combine(night, time())
        with job_in(warehouse, "ingest") as job:
            landing = str(tmp_path / "landing" / f"{week:02d}")
            ingest(job, "registry", landing, create_key(job.settings.key_path), delivered_at=delivered)
        with job_in(warehouse, "timelines") as job:
            build(job)
        with job_in(warehouse, "look") as job:
            seen |= asked(job.tables, spec_of(job.tables), [micros(night)])
            kept[night] = kept_at(job.tables, night)
    with job_in(warehouse, "look") as job:
        afterwards = asked(job.tables, spec_of(job.tables), [*map(micros, nights)])
        for night in nights:
            known = {subject for subject, at in seen if at == micros(night)}
            assert kept_at(job.tables, night) & known == kept[night], "who comes to be known later is not asked of then"
    assert min(changed.values()) > weeks
    assert min(map(len, kept.values())) > 5
    assert len({subject for subject, _ in seen}) == PEOPLE
    assert len(seen) < len(afterwards) == weeks * PEOPLE
    for each, blocks in seen.items():
        for name, block in blocks.items():
            np.testing.assert_array_equal(block, afterwards[each][name])
    first, last = (
        {subject: blocks for (subject, at), blocks in afterwards.items() if at == micros(night)}
        for night in (nights[0], nights[-1])
    )
    assert any((first[subject]["inputs"] != last[subject]["inputs"]).any() for subject in first)
    unknown = [blocks["event_codes"] for each, blocks in afterwards.items() if each not in seen]
    assert not np.any(unknown), "nobody has an event before it was known who they are"

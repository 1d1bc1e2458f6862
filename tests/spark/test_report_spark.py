"""The report from a small warehouse: what Spark aggregates equals a plain count, and Chromium shows every plot."""

import base64
import json
import shutil
from collections import Counter
from datetime import date, datetime, timedelta

import pytest

from salus.cohorts.task import Task
from salus.errors import Refused
from salus.report import summary
from salus.report.distribution import distribution
from salus.report.importances import explained
from salus.report.intake import intake
from salus.report.measured import measures
from salus.report.night import night
from salus.report.people import SHOWN, highest
from salus.report.phases import phases
from salus.report.provenance import identity, model_row, newest_snapshot
from salus.report.report import card_paths, default_path, report, sections
from salus.storage.tables import Tables

AS_OF = date(2026, 6, 30)
NOW = datetime(2026, 7, 1, 2, 0)
TASK = "admission_90d"
HASH = "9c1e" * 16

PLOTS = {
    "summary": 0,
    "intake": 1,
    "quality": 0,
    "attrition": 1,
    "discrimination": 3,
    "calibration": 2,
    "usefulness": 1,
    "subgroups": 1,
    "stability": 1,
    "importances": 2,
    "distribution": 1,
    "people": 1,
    "provenance": 1,
}


def file(number, source, record_type, read, quarantined):
    return {
        "file_id": number,
        "file": f"{record_type}.{number}",
        "source": source,
        "site": "main",
        "record_type": record_type,
        "bytes": 10 * read,
        "rows_read": read,
        "rows_accepted": read - quarantined,
        "rows_quarantined": quarantined,
        "rows_unchanged": 1,
        "events_written": 2 * read,
        "mapping_hash": "m",
        "delivered_at": NOW,
        "batch_id": 1,
    }


FILES = [
    file(1, "fhir_r4", "Observation", 900, 2),
    file(2, "fhir_r4", "Observation", 100, 0),
    file(2, "fhir_r4", "Patient", 20, 1),
    file(3, "payer_extract", "medical_claim", 400, 0),
]

QUARANTINE = [
    {
        "file_id": number,
        "record": record,
        "source": "fhir_r4",
        "record_type": record_type,
        "rule": rule,
        "reason": "what the rule expects",
        "mapping_hash": "m",
        "batch_id": 1,
    }
    for number, record, record_type, rule in (
        (1, 5, "Observation", "not_a_number"),
        (1, 9, "Observation", "not_one_json_object"),
        (2, 3, "Patient", "not_a_time"),
    )
]


def score(subject, as_of=AS_OF, task=TASK, run="score-2", **changes):
    """A row of ``scores``; every ninth person has no score."""
    probability = None if subject % 9 == 0 else (subject * 37 % 200) / 400 + 0.0004
    reason = {
        "rank": 1,
        "feature": "Age <b>",
        "code": "MEDS_BIRTH",
        "value": 81.5,
        "unit": "years",
        "time": None,
        "direction": "raises",
        "contribution": 0.4,
    }
    return {
        "run_id": run,
        "task_id": task,
        "subject_id": subject,
        "as_of": as_of,
        "data_available_through": NOW - timedelta(days=2),
        "prediction_start": NOW,
        "prediction_end": NOW + timedelta(days=90),
        "score_raw": probability and -2.0,
        "probability": probability,
        "probability_low": probability and probability * 0.9,
        "probability_high": probability and probability * 1.1,
        "prior_probability": 0.05,
        "percentile": probability and 50.0,
        "tier": probability and ("high" if probability >= 0.3 else "low"),
        "reasons": [tuple(reason.values())] if probability else None,
        "reason_method": "integrated gradients" if probability else None,
        "days_since_last_event": 3.0,
        "enrolled_days": 365,
        "data_quality_flags": [],
        "not_scored_reason": None if probability else "no_data_in_look_back",
        "model_name": TASK,
        "model_version": "2",
        "calibration_version": "c0ffee",
        "feature_spec_hash": HASH,
        "code_version": "0.1.0",
        **changes,
    }


SCORES = [score(subject) for subject in range(1, 200)]
OTHERS = [score(subject, as_of=date(2026, 5, 31), run="score-1") for subject in range(1, 50)] + [
    score(subject, task="another", run="score-0") for subject in range(1, 50)
]


def score_run(run, task, as_of, eligible, not_scored, **changes):
    return {
        "run_id": run,
        "task_id": task,
        "as_of": as_of,
        "status": "published",
        "eligible": eligible,
        "scored": eligible - not_scored,
        "not_scored": not_scored,
        "population": 250,
        "model_name": TASK,
        "model_version": "2",
        "feature_spec_hash": HASH,
        "inputs": {"timelines": 3},
        "code_version": "0.1.0",
        "finished_at": NOW,
        **changes,
    }


def evaluation(run, model, metric, value=None, x=(), y=(), split="held_out", task=TASK):
    return {
        "task_id": task,
        "model_name": model,
        "model_version": "2",
        "split": split,
        "metric": metric,
        "value": value,
        "low": value and value - 0.02,
        "high": value and value + 0.02,
        "people": 40,
        "rows": 800,
        "curve_x": list(x),
        "curve_y": list(y),
        "run_id": run,
    }


def evaluations():
    rows = [
        evaluation("evaluate-1", "model", "auroc", 0.6),
        evaluation("evaluate-2", "model", "auroc", 0.9, split="train"),
        evaluation("evaluate-3", "model", "auroc", 0.7, task="another"),
    ]
    for model, auroc in (("model", 0.78), ("baseline", 0.76), ("attainable", 0.79), ("oracle", 0.81)):
        rows += [
            evaluation("evaluate-2", model, metric, value)
            for metric, value in (
                ("auroc", auroc),
                ("auprc", 0.2),
                ("brier", 0.05),
                ("calibration_intercept", 0.01),
                ("calibration_slope", 1.01),
                ("sensitivity_top_1", 0.08),
                ("ppv_top_1", 0.3),
                ("lift_top_1", 8.0),
                ("auroc_over_truth", auroc - 0.01),
            )
        ]
        rows += [
            evaluation("evaluate-2", model, metric, x=x, y=y)
            for metric, x, y in (
                ("roc_curve", (0.0, 0.2, 1.0), (0.0, 0.6, 1.0)),
                ("calibration_curve", (0.01, 0.1, 0.3), (0.0, 0.11, 0.29)),
                ("net_benefit", (0.01, 0.05, 0.2), (0.03, 0.01, 0.002)),
                ("pr_curve", (0.0, 0.5, 1.0), (0.7, 0.3, 0.05)),
            )
        ]
    rows += [
        evaluation("evaluate-2", "model", metric, value) | {"subgroup": "sex: female"}
        for metric, value in (("events", 40.0), ("auroc", 0.7), ("auroc_gap", -0.1))
    ]
    rows += [
        evaluation("evaluate-2", "model", metric, value) | {"subgroup": "month: 2026-01"}
        for metric, value in (
            ("events", 40.0),
            ("mean_predicted", 0.05),
            ("observed", 0.06),
            ("observed_over_expected", 1.2),
        )
    ]
    return rows + [
        evaluation("evaluate-2", "model", metric, value)
        for metric, value in (
            ("share_of_attainable_lift", 0.95),
            ("leakage_price", 0.03),
            ("auroc_by_time", 0.81),
            ("auroc_by_available_time", 0.78),
        )
    ]


def importance(rank, feature, version="2", **dependence):
    return {
        "task_id": TASK,
        "model_version": version,
        "rank": rank,
        "feature": feature,
        "code": "MEDS_BIRTH",
        "contribution": 0.5 / rank,
        "low": 0.45 / rank,
        "high": 0.55 / rank,
        "raises": 0.6,
        "among_reasons": 0.8,
        "people": 40,
        "rows": 800,
        "run_id": "explain-1",
        **{f"dependence_{name}": curve for name, curve in dependence.items()},
    }


IMPORTANCES = [
    importance(2, "Of <i>another</i> kind: event"),
    importance(1, "Age <b>", x=[40.0, 80.0], y=[0.1, 0.2], low=[0.05, 0.1], high=[0.2, 0.4]),
    importance(1, "Of the model before", version="1"),
]


def run(job, run_id, minute, seconds, status="succeeded", figures=None, **arguments):
    return {
        "run_id": run_id,
        "job": job,
        "status": status,
        "at": NOW + timedelta(minutes=minute),
        "seconds": seconds,
        "work_key": None,
        "arguments": json.dumps(arguments),
        "figures": json.dumps(figures or {}),
        "code_version": "0.1.0",
    }


RUNS = [
    run("ingest", "ingest-1", 1, 30.0, source="fhir_r4"),
    run("ingest", "ingest-2", 2, 14.0, source="payer_extract"),
    run("ingest", "ingest-3", 90, 1.5, "skipped", source="fhir_r4"),
    run("train", "train-0", 3, 99.0, task="another"),
    run("train", "train-1", 4, 58.0, task=TASK),
    run("train", "train-2", 5, 2.0, "failed", task=TASK),
    run("evaluate", "evaluate-1", 6, 9.0, task=TASK),
    run("evaluate", "evaluate-2", 7, 8.0, task=TASK),
    run("evaluate", "evaluate-3", 8, 8.0, task="another"),
    run("score", "score-1", 9, 70.0, task=TASK, as_of="2026-05-31"),
    run("score", "score-2", 10, 17.0, task=TASK, as_of="2026-06-30"),
    run("demo", "demo-1", 11, 200.0, task=TASK),
    run("report", "report-1", 12, 4.0, task=TASK, as_of="2026-06-30", figures={"report": "somewhere/report.html"}),
]


@pytest.fixture(scope="module")
def filled(spark, tmp_path_factory):
    """A published warehouse of a few hundred rows."""
    tables = Tables(spark, str(tmp_path_factory.mktemp("report") / "warehouse"))
    columns = ("task_id", "step", "criterion", "rows_before", "rows_lost", "people_left", "events_left")
    steps = [(TASK, 1, "age at least 18", 5000, 300, 240, None), (TASK, 2, "labelled", 4700, 700, 200, 210)]
    labels = 7 * [(True, "train")] + 3 * [(None, "train")] + [(False, "tuning")]
    rows = {
        "ingested_files": FILES,
        "quarantine": QUARANTINE,
        "scores": SCORES + OTHERS,
        "evaluations": evaluations(),
        "importances": IMPORTANCES,
        "runs": RUNS,
        "score_runs": [
            score_run("score-2", TASK, AS_OF, 199, 22),
            score_run("score-1", TASK, date(2026, 5, 31), 49, 5),
            score_run("held", TASK, AS_OF, 1, 1, status="held", finished_at=NOW + timedelta(days=1)),
        ],
        "attrition": [dict(zip(columns, step)) for step in steps],
        "models": [
            {
                "task_id": TASK,
                "model_name": name,
                "model_version": "2",
                "architecture": architecture,
                "feature_spec_hash": HASH,
                "dataset_hash": HASH,
                "package_hash": HASH,
                "package_path": "p",
                "inputs": {"timelines": 3},
                "prevalence": 0.05,
                "trained_at": NOW,
                "run_id": "train-1",
            }
            for name, architecture in ((TASK, "mlp"), (f"{TASK}_baseline", "logistic"))
        ],
        f"cohorts/{TASK}": [
            {
                "subject_id": subject,
                "prediction_time": NOW,
                "boolean_value": label,
                "weight": 1.0,
                "split": split,
                "fold": 0,
            }
            for subject, (label, split) in enumerate(labels)
        ],
    }
    for name, content in rows.items():
        tables.append(name, tables.frame(name, content))
    tables.publish("score-2")
    return tables


def test_intake_counts_every_record_once(filled):
    found = intake(filled)
    assert (found.files, found.total("read"), found.total("accepted"), found.total("quarantined"), found.refused) == (
        3,
        1420,
        1417,
        3,
        3,
    )
    assert [(row.source, row.record_type, row.files) for row in found.delivered] == [
        ("fhir_r4", "Observation", 2),
        ("fhir_r4", "Patient", 1),
        ("payer_extract", "medical_claim", 1),
    ]
    assert Counter(row.rule for row in found.refusals) == Counter(row["rule"] for row in QUARANTINE)


def test_the_distribution_is_that_of_this_task_and_night(filled):
    found = distribution(filled, TASK, AS_OF)
    scored = [row for row in SCORES if row["probability"] is not None]
    slowly = Counter((row["tier"], int(row["probability"] / found.width)) for row in scored)
    assert found.bars == slowly
    assert {tier.name: (tier.people, pytest.approx(tier.expected)) for tier in found.tiers} == {
        name: (len(those), sum(those))
        for name in ("high", "low")
        if (those := [row["probability"] for row in scored if row["tier"] == name])
    }
    assert [tier.name for tier in found.tiers] == ["high", "low"]
    assert found.reasons == {"no_data_in_look_back": len(SCORES) - len(scored)}


def test_the_highest_are_the_highest(filled):
    scored = [row for row in SCORES if row["probability"] is not None]
    slowly = sorted(scored, key=lambda row: (-row["probability"], row["subject_id"]))[:SHOWN]
    assert [row["subject_id"] for row in highest(filled, TASK, AS_OF)] == [row["subject_id"] for row in slowly]


def test_measures_are_of_the_newest_evaluation_on_people_held_out(filled):
    found, subgroups = measures(filled, TASK)
    assert found["model", "auroc"].value == 0.78
    assert found["oracle", "roc_curve"].y == pytest.approx((0.0, 0.6, 1.0))
    assert measures(filled, "unheard_of") == ({}, {})
    assert subgroups["sex: female"]["auroc_gap"].value == -0.1


def test_what_a_model_goes_by_is_told_of_the_model_that_scored(filled):
    found = explained(filled, TASK, "2")
    assert [(row["rank"], row["feature"]) for row in found] == [(1, "Age <b>"), (2, "Of <i>another</i> kind: event")]
    assert explained(filled, TASK, "3") == []


def test_the_night_is_the_published_one(filled):
    found = night(filled, TASK, AS_OF)
    assert (found.run_id, found.eligible, found.scored, found.not_scored) == ("score-2", 199, 177, 22)
    assert found.calibration_version == "c0ffee"
    assert found.data_through == NOW - timedelta(days=2)
    assert night(filled, TASK, date(2020, 1, 1)) is None


def test_the_model_that_scored_is_named_and_not_the_baseline(filled):
    scoring = night(filled, TASK, AS_OF)
    named = identity(scoring, model_row(filled, scoring), newest_snapshot(filled))
    assert (named["Architecture"], named["Model"]) == ("mlp", f"{TASK}, version 2")
    assert named["Snapshot"].startswith("score-2-")


def test_a_phase_is_timed_by_the_run_that_did_its_work(filled):
    found = {
        phase.name: (phase.worked_seconds, phase.latest_seconds, phase.latest_status)
        for phase in phases(filled, TASK, AS_OF)
    }
    assert found == {
        "ingest fhir_r4": (30.0, 1.5, "skipped"),
        "ingest payer_extract": (14.0, 14.0, "succeeded"),
        "train": (58.0, 58.0, "succeeded"),
        "evaluate": (8.0, 8.0, "succeeded"),
        "score": (17.0, 17.0, "succeeded"),
        "report": (4.0, 4.0, "succeeded"),
    }


def test_the_end_table_says_what_the_tables_say(filled):
    said = {line[:18].strip(): line[18:].strip() for line in summary(filled, TASK, AS_OF).splitlines()}
    assert said["files"] == "3"
    assert (said["records read"], said["accepted"], said["quarantined"]) == ("1,420", "1,417", "3")
    assert said["training rows"] == "7"
    assert (said["eligible"], said["scored"], said["not scored"]) == ("199", "177", "22")
    assert said["people"] == said["events"] == "–"
    assert said["seconds"].startswith("ingest fhir_r4 1.5 · ")
    assert said["report"] == "somewhere/report.html"


def test_an_empty_warehouse_has_a_report_of_what_to_run(tables):
    jobs = [
        block.job
        for section in sections(tables, Task.load(TASK), AS_OF)
        for block in section.blocks
        if block.kind == "missing"
    ]
    shown = ["score", "evaluate", "ingest", "quality", "cohort", *["evaluate"] * 5, "explain", "score", "score", "demo"]
    assert jobs == shown
    assert summary(tables, TASK, AS_OF).count("–") == 16


@pytest.fixture(scope="module")
def written(filled, tmp_path_factory):
    """The report as a file."""
    return report(filled, Task.load(TASK), AS_OF, tmp_path_factory.mktemp("page") / "deep" / "report.html", NOW)


@pytest.fixture
def browser(tmp_path):
    """Headless Chromium that keeps its console; skipped where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("there is no chromium with its chromedriver on the PATH (Debian: chromium, chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--window-size=1280,1000",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    yield opened
    opened.quit()


@pytest.mark.browser
def test_chromium_shows_every_section_and_its_plots_without_an_error_or_a_fetch(browser, written):
    browser.get(written.as_uri())
    drawn = browser.execute_script("""
        return Object.fromEntries([...document.querySelectorAll('section')].map(section => [section.id,
            [...section.querySelectorAll('figure')].filter(figure =>
                figure.querySelector('.js-plotly-plot .main-svg')?.getBoundingClientRect().width > 200).length]))""")
    assert drawn == PLOTS
    assert browser.get_log("browser") == []
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    fetched = {event["params"]["request"]["url"] for event in asked if event["method"] == "Network.requestWillBeSent"}
    own_pages = ("data:", "chrome:")
    assert {url for url in fetched if not url.startswith(own_pages)} == {written.as_uri()}


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 800, 400])
def test_nothing_is_wider_than_the_window(browser, written, width):
    browser.set_window_size(width, 900)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.get(written.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    picture = base64.b64decode(browser.get_screenshot_as_base64())
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000, "a blank page compresses to less"


@pytest.mark.browser
def test_markup_from_a_table_is_shown_as_text(browser, written):
    browser.get(written.as_uri())
    person = browser.execute_script("return document.querySelector('#people .reasons tbody th').firstChild.data")
    assert person == "Age <b>"


def test_the_model_card_lies_beside_the_report_and_is_linked_from_it(written):
    html, data = card_paths(written)
    card = json.loads(data.read_text(encoding="utf-8"))
    assert (card["model"]["architecture"], card["model"]["model_version"]) == ("mlp", "2")
    assert card["calibration"]["version"] == "c0ffee"
    assert len(card["attributes"]) == 31
    assert card["figures"]["auroc"]["value"] == 0.78
    page = written.read_text(encoding="utf-8")
    assert f'href="{html.name}"' in page
    assert f'href="{data.name}"' in page
    assert f'href="{written.name}"' in html.read_text(encoding="utf-8")


def test_the_report_lies_under_a_local_warehouse_and_has_to_be_placed_for_another():
    assert str(default_path("/w", TASK, AS_OF)) == "/w/_reports/admission_90d/2026-06-30/report.html"
    with pytest.raises(Refused, match="--out"):
        default_path("s3a://bucket/w", TASK, AS_OF)

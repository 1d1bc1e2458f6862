"""Task files: what ships is valid, and whoever mistypes one is told the line."""

import pytest

from salus.cohorts.task import Task, tasks_dir
from salus.errors import Refused


def changed(tmp_path, *changes, name="admission_90d"):
    text = (tasks_dir() / f"{name}.yml").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / f"{name}.yml"
    path.write_text(text, encoding="utf-8")
    return path


def line_of(path, text):
    return 1 + next(i for i, line in enumerate(path.read_text(encoding="utf-8").splitlines()) if text in line)


@pytest.mark.parametrize("name", sorted(file.stem for file in tasks_dir().glob("*.yml")))
def test_every_task_that_ships_is_valid(name):
    assert Task.load(name).id == name


def test_an_unknown_task_names_those_that_there_are():
    with pytest.raises(Refused, match=r"'admision'.*admission_90d"):
        Task.load("admision")


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        ("look_back_days: 365", "lookback_days: 365", "lookback_days", "eligibility.lookback_days"),
        ("horizon_days: 90", "horizon_days: ninety", "horizon_days", "label.horizon_days"),
        ("death: no_event", "death: ignored", "death:", "label.death"),
        ("train: 0.6", "train: 0.7", "splits:", "must add up to 1"),
        ("enrolled_days_at_least: 320", "enrolled_days_at_least: 400", "eligibility:", "at most look_back_days"),
        ("from_percentile: 80", "from_percentile: 99", "tiers:", "highest from_percentile to the lowest"),
        ("dropout: 0.2", "drop_out: 0.2", "drop_out", "model.settings.drop_out"),
        ("positives_at_least: 20", "positives_at_least: 0", "positives_at_least", "gates"),
        ("{method: platt}", "{method: plat}", "{method: plat}", "calibration.method"),
        ("intended_use:", "intendeduse:", "intendeduse", "card.intendeduse"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, old, new, where, said):
    path = changed(tmp_path, (old, new))
    with pytest.raises(Refused) as refused:
        Task.from_file(path)
    assert str(refused.value).startswith(f"{path}:{line_of(path, where)}: ")
    assert said in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  every: month ", "  every: day ", "every: day and event belong together"),
        ("  last: 24", "  last: 24\n  event: {codes: [ENCOUNTER_END/IMP]}", "every: day and event belong together"),
        ("  every: month ", "  event: {codes: []}\n  every: day ", "index.event.codes"),
        ("  every: month ", "  event: {codes: [A], within_days: 0}\n  every: day ", "index.event.within_days"),
        (
            "  every: month ",
            "  event: {codes: [A], nth_day: 2, continued_by: [B]}\n  every: day ",
            "nth_day counts days and continued_by joins stays",
        ),
    ],
)
def test_an_event_is_looked_for_every_day_and_nothing_else_is(tmp_path, old, new, said):
    path = changed(tmp_path, (old, new))
    with pytest.raises(Refused) as refused:
        Task.from_file(path)
    assert said in str(refused.value)


def test_the_id_is_the_files_name(tmp_path):
    path = changed(tmp_path, ("id: admission_90d", "id: admission"))
    with pytest.raises(Refused, match=r"'admission'.*'admission_90d'"):
        Task.from_file(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("start: trigger", "start: trigger - 1d", "begins before the prediction time"),
        ("end: start + 90d", "end: start + 30d", "30 days after the prediction, horizon_days says 90"),
        ("end: start + 90d", "end: null", "end must be given"),
        ("end: start + 90d", "end: start -> _RECORD_END", "_RECORD_END"),
        ("end: start + 90d", "end: start -> prediction", "prediction, which is not defined"),
        ("end: start + 90d", "end: start + soon", "'soon' is not a length of time"),
        ("end: start + 90d", "end: other.end", "refers to other"),
        ("start: trigger", "start: end - 90d", "bounded by itself"),
        (
            "label: unplanned_admission",
            "has: {_ANY_EVENT: '(1, None)'}\n        label: unplanned_admission",
            "_ANY_EVENT",
        ),
        ("label: unplanned_admission", "label: admission", "admission, which is not defined"),
        ("label: unplanned_admission", "index_timestamp: start", "expected the keys"),
        ("        label: unplanned_admission", "", "0 windows carry a label"),
        ("    predicates:", "    trigger: unplanned_admission\n    predicates:", "trigger"),
        ("code: {any:", "codes: {any:", "predicate unplanned_admission"),
        ("code: {any: [", "code: {all: [", "{any: [codes]}"),
        ("death: no_event", "death: event", "MEDS_DEATH"),
    ],
)
def test_a_label_that_would_leak_or_drift_is_refused(tmp_path, old, new, said):
    path = changed(tmp_path, (old, new))
    with pytest.raises(Refused) as refused:
        Task.from_file(path)
    assert said in str(refused.value)
    assert f"{path}:{line_of(path, 'label:')}: " in str(refused.value)


KINDS = (
    "emergency_visits_1y",
    "cost_1y",
    "high_cost_1y",
    "mortality_1y",
    "admission_cause_90d",
    "unplanned_care_180d",
)


@pytest.mark.parametrize(
    ("name", "old", "new", "where", "said"),
    [
        (
            "emergency_visits_1y",
            "    codes: [ENCOUNTER/EMER",
            "    code: [ENCOUNTER/EMER",
            "    code:",
            "label.count.code",
        ),
        ("emergency_visits_1y", "    unit: visits\n", "", "  count:", "label.count.unit"),
        ("emergency_visits_1y", "{method: scale}", "{method: platt}", "id:", "one of scale, none for the count"),
        ("cost_1y", "{currency: USD}", "{currency: dollars}", "cost:", "label.cost.currency"),
        ("cost_1y", "  cost:", "  aces: {predicates: {}}\n  cost:", "label:", "not aces and cost"),
        ("cost_1y", "  cost: {currency: USD}\n", "", "label:", "cost, time_to_event, adherence and table, not none"),
        ("cost_1y", "death: no_event", "death: composite", "label:", "; cost ends with a death"),
        ("cost_1y", "from_percentile: 95", "from_probability: 0.5", "id:", "expected tiers to begin from_percentile"),
        ("cost_1y", "dropout: 0.2", "focal_gamma: 2.0", "id:", "focal_gamma are of events"),
        ("cost_1y", "gates:", "gates:\n  sample_size: riley", "id:", "expected no gates.sample_size"),
        ("high_cost_1y", "currency: USD\n", "currency: USD\n    high_from: 9\n", "cost:", "expected one of them"),
        ("high_cost_1y", "percentile: 95", "percentile: 100", "high_from_percentile", "high_from_percentile"),
        (
            "high_cost_1y",
            "{method: platt}",
            "{method: scale}",
            "id:",
            "platt, beta, isotonic, venn_abers, none for the event",
        ),
    ],
)
def test_a_number_is_declared_as_one_and_a_mistake_is_named_with_its_line(tmp_path, name, old, new, where, said):
    path = changed(tmp_path, (old, new), name=name)
    with pytest.raises(Refused) as refused:
        Task.from_file(path)
    line = 1 if where == "id:" else line_of(path, where)  # what the whole file says is named with its first line
    assert str(refused.value).startswith(f"{path}:{line}: ")
    assert said in str(refused.value)


@pytest.mark.parametrize("name", ["cost_1y", "mortality_1y", "admission_cause_90d"])
def test_settings_of_a_number_a_time_and_classes_can_be_searched(tmp_path, name):
    path = changed(tmp_path, ("\ngates:", "\ntune:\n  dropout: {low: 0.0, high: 0.5}\ngates:"), name=name)
    assert list(Task.from_file(path).tune) == ["dropout"]


def test_a_label_knows_how_it_is_kept_and_told():
    told = [(label.kind.name, label.kind.column, label.unit) for label in (Task.load(name).label for name in KINDS)]
    assert told == [
        ("count", "integer_value", "visits"),
        ("cost", "float_value", "USD"),
        ("event", "boolean_value", None),
        ("time_to_event", "event_type", None),
        ("multi_class", "classes", None),
        ("multi_label", "classes", None),
    ]


TIMED = "time_to_event:\n    intervals_days: [61, 122, 183, 243, 304, 365]"
CODES = "time_to_event:\n    codes: [CLAIM/INPATIENT/1]"


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        (
            "[61, 122",
            "[122, 61",
            "intervals_days",
            "are 122, 61, 183, 243, 304, 365; expected days above 0 that ascend",
        ),
        ("[61, 122", "[0, 122", "intervals_days", "expected days above 0 that ascend"),
        ("304, 365]", "304]", "label:", "the last of intervals_days is 304, horizon_days says 365"),
        ("intervals_days: [61, 122, 183, 243, 304, 365]", "codes: [X]", "time_to_event:", "intervals_days"),
        ("death: event ", "death: competing ", "label:", "without codes, which is of death; expected death: event"),
        ("time_to_event:", CODES, "label:", "death: event of a time_to_event with codes; expected death: competing or"),
        (TIMED, "count: {codes: [X], unit: visits}", "label:", "; count ends with a death"),
        (
            TIMED + "\n",
            TIMED + "\n  cost: {currency: USD}\n",
            "label:",
            "not cost and time_to_event",
        ),
        ("{method: platt}", "{method: scale}", "id:", "isotonic, venn_abers, none for the time_to_event"),
        ("dropout: 0.2", "positive_weight: 2.0", "id:", "positive_weight are of events"),
        ("gates:", "gates:\n  sample_size: riley", "id:", "expected no gates.sample_size"),
    ],
)
def test_a_time_to_event_is_declared_as_one_and_a_mistake_is_named_with_its_line(tmp_path, old, new, where, said):
    path = changed(tmp_path, (old, new), name="mortality_1y")
    with pytest.raises(Refused) as refused:
        Task.from_file(path)
    line = 1 if where == "id:" else line_of(path, where)
    assert str(refused.value).startswith(f"{path}:{line}: ")
    assert said in str(refused.value)


LISTED = "[respiratory, infection_or_kidney, heart_failure, other]"


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        (LISTED, "[heart_failure]", "predicates:", "label.classes.predicates"),
        (LISTED, "[heart_failure, sepsis]", "label:", "classes sepsis are not defined; expected predicates of aces"),
        (LISTED, "[heart_failure, other, other]", "label:", "expected each once, and none called none"),
        (LISTED, "[respiratory, other]", "label:", "label is heart_failure; expected the class that the score tells"),
        ("first_to_happen", "worst", "exclusive:", "label.classes.exclusive"),
        ("death: no_event", "death: composite", "label:", "expected a class whose predicate names MEDS_DEATH"),
        ("death: no_event", "death: competing", "label:", "competing is of a time_to_event"),
        ("death: no_event", "death: event", "label:", "expects the label's predicates to name MEDS_DEATH"),
        ("CLAIM/INPATIENT/1,", "MEDS_DEATH,", "label:", "a class names MEDS_DEATH; expected death: event"),
        ("  aces:\n", "  cost: {currency: USD}\n  aces:\n", "label:", "not aces and cost"),
        ("{method: platt}", "{method: scale}", "id:", "isotonic, venn_abers, none for the multi_class"),
        ("dropout: 0.2", "label_smoothing: 0.1", "id:", "label_smoothing are of events"),
        (
            "gates: ",
            "tune:\n  focal_gamma: {low: 0.0, high: 2.0}\n\ngates: ",
            "id:",
            "focal_gamma are of events",
        ),
    ],
)
def test_classes_are_declared_as_such_and_a_mistake_is_named_with_its_line(tmp_path, old, new, where, said):
    path = changed(tmp_path, (old, new), name="admission_cause_90d")
    with pytest.raises(Refused) as refused:
        Task.from_file(path)
    line = 1 if where == "id:" else line_of(path, where)
    assert str(refused.value).startswith(f"{path}:{line}: ")
    assert said in str(refused.value)


def test_classes_stand_beside_aces_and_nothing_else(tmp_path):
    classes = "  classes: {predicates: [a, b]}\n  cost:"
    with pytest.raises(Refused, match="classes are predicates of aces"):
        Task.from_file(changed(tmp_path, ("  cost:", classes), name="cost_1y"))


def test_death_competes_with_a_time_to_event_and_with_nothing_else(tmp_path):
    competing = changed(
        tmp_path, ("time_to_event:", CODES), ("death: event ", "death: competing "), name="mortality_1y"
    )
    assert Task.from_file(competing).label.death == "competing"
    with pytest.raises(Refused, match="competing is of a time_to_event"):
        Task.from_file(changed(tmp_path, ("death: no_event", "death: competing"), name="cost_1y"))


def test_its_hash_knows_everything_and_the_cohorts_hash_only_what_makes_a_cohort(tmp_path):
    first = Task.load("admission_90d")
    other_network = Task.from_file(changed(tmp_path, ("dropout: 0.2", "dropout: 0.3")))
    assert other_network.hash != first.hash
    assert other_network.cohort_hash == first.cohort_hash
    other_people = Task.from_file(changed(tmp_path, ("age_at_least: 18", "age_at_least: 65")))
    assert other_people.cohort_hash != first.cohort_hash
    fewer_events = Task.from_file(changed(tmp_path, ("positives_at_least: 20", "positives_at_least: 10")))
    assert fewer_events.cohort_hash != first.cohort_hash
    any_sample = Task.from_file(changed(tmp_path, ("  sample_size: riley\n", "")))
    assert any_sample.cohort_hash == first.cohort_hash
    assert Task.from_file(changed(tmp_path)).hash == first.hash

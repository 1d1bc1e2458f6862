"""Random people for the tests of timelines: events with both clocks, coverage spans, and batches made of them."""

import math
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from salus.timelines.blocks import Channel, DailyMatrix, EventSequence
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, STATIC
from salus.timelines.reference_ranges import ReferenceRange
from salus.timelines.spec import CodeGroup, FeatureSpec, Statistics

DAY = MICROSECONDS_PER_DAY
HOUR = DAY // 24
LAST_DAY = 500
CODES = {
    "I10": 11,
    "E11.9": -12,
    "E11.65": 13,
    "LAB/1": 14,
    "LAB/2": -(1 << 62),
    "STEPS": 16,
    "OTHER": 17,
    "COST/USD": 18,
}
SEQUENCE = ("I10", "E11.9", "E11.65", "LAB/1", "LAB/2")


def spec(**changes) -> FeatureSpec:
    """A spec with every block: overlapping count groups, two numeric groups, one with a reference range, a source, all

    statistics, a sequence of five events without steps, and 30 days of two channels.
    """

    def group(name, kind, *codes, **more):
        hashes = tuple(CODES[code] for code in codes)
        return CodeGroup(name=name, label=name, kind=kind, codes=codes, code_hashes=hashes, **more)

    made = FeatureSpec(
        windows_days=(7, 60, 365),
        numeric_windows_days=(30, 400),
        enrolment_days=(90, 365),
        count_statistics=("count", "exists", "distinct_days", "days_since_last"),
        numeric_statistics=("last", "days_since_last", "mean", "min", "max", "slope", "out_of_range", "count"),
        groups=(
            group("hypertension", "count", "I10"),
            group("diabetes", "count", "E11.9", "E11.65"),
            group("any", "count", "I10", "E11.9", "LAB/1"),
            group("lab", "numeric", "LAB/1", "LAB/2", reference=ReferenceRange(female=(-40, 0), male=(0, None))),
            group("steps", "numeric", "STEPS"),
            group("spent", "amount", "COST/USD"),
            group("device", "source", "STEPS"),
        ),
        sequence=EventSequence(
            length=5,
            codes=SEQUENCE,
            labels=SEQUENCE,
            code_hashes=tuple(CODES[code] for code in SEQUENCE),
            mean=(0.0, 2.0, 0.0, 1.0, 0.0),
            std=(1.0, 3.0, 1.0, 20.0, 1.0),
        ),
        daily=DailyMatrix(
            days=30,
            channels=(
                Channel(name="steps", label="Steps", codes=("STEPS",), code_hashes=(CODES["STEPS"],), mean=5, std=10),
                Channel(
                    name="lab",
                    label="Lab",
                    unit="mg/dL",
                    codes=("LAB/1", "LAB/2"),
                    code_hashes=(CODES["LAB/1"], CODES["LAB/2"]),
                ),
            ),
        ),
    )
    width = len(made.names)
    fitted = Statistics(mean=tuple(0.5 * i for i in range(width)), std=tuple(1.0 + i for i in range(width)))
    return made.model_copy(update={"statistics": fitted, **changes})


@dataclass(frozen=True)
class Event:
    """One event with its clocks in microseconds."""

    time: int
    available: int
    superseded: int
    code: int
    value: float


@dataclass(frozen=True)
class Span:
    """One coverage span with its clocks in microseconds."""

    start: int
    end: int
    available: int
    superseded: int


@dataclass(frozen=True)
class Person:
    """What a timeline row holds."""

    events: list[Event]
    spans: list[Span] = field(default_factory=list)
    birth: int | None = None
    sex: str | None = None


# Strategies are made once: one that is made while an example is drawn costs more than the draw.
_lag = st.sampled_from([0, 1, DAY, 30 * DAY, 90 * DAY])
_replaced_after = st.one_of(st.none(), st.integers(1, 200).map(lambda days: days * DAY))
_value = st.one_of(st.just(float("nan")), st.integers(-50, 50).map(float))
_clock = st.sampled_from([0, 0, 7 * HOUR])
_days_covered = st.one_of(st.none(), st.integers(0, 300))


def _known(time, lag, replaced_after):
    """When something that happened at ``time`` was available, and when it was superseded."""
    return time + lag, NEVER if replaced_after is None else time + lag + replaced_after


def _event(code, value, is_static, day, clock, lag, replaced_after):
    if is_static == 0:
        return Event(STATIC, STATIC, NEVER, code, value)
    time = day * DAY + clock
    return Event(time, *_known(time, lag, replaced_after), code, value)


def _span(first_day, days, lag, replaced_after):
    start = first_day * DAY
    return Span(start, NEVER if days is None else start + days * DAY, *_known(start, lag, replaced_after))


events = st.builds(
    _event,
    st.sampled_from(list(CODES.values())),
    _value,
    st.integers(0, 19),
    st.integers(0, LAST_DAY),
    _clock,
    _lag,
    _replaced_after,
)
"""An event; some static, many at the edges of windows."""

spans = st.builds(_span, st.integers(0, LAST_DAY), _days_covered, _lag, _replaced_after)
"""A coverage span of whole days; some are open."""

people = st.builds(
    Person,
    events=st.lists(events, max_size=25),
    spans=st.lists(spans, max_size=4),
    birth=st.one_of(st.none(), st.integers(-30_000, 0).map(lambda day: day * DAY)),
    sex=st.sampled_from(["female", "male", None]),
)
prediction_times = st.integers(0, LAST_DAY + 50).map(lambda day: day * DAY)


def in_order(happened: list[Event]) -> list[Event]:
    """Events as a timeline has them: of one time, available at one time, those of one code by value, NaN last."""

    def place(event):
        is_unknown = math.isnan(event.value)
        return event.time, event.available, event.code, is_unknown, 0 if is_unknown else event.value, event.superseded

    return sorted(happened, key=place)


def batch_of(persons: list[Person]) -> pa.RecordBatch:
    """The ``timelines`` rows of ``persons``, as the Spark step orders them."""
    happened = [in_order(p.events) for p in persons]
    covered = [sorted(p.spans, key=lambda s: (s.start, s.end, s.available, s.superseded)) for p in persons]

    def lists(rows, name, kind):
        return pa.array([[getattr(one, name) for one in row] for row in rows], pa.list_(kind))

    coverage = ("start", "end", "available", "superseded")
    columns = {
        "subject_id": pa.array(range(len(persons)), pa.int64()),
        "birth": pa.array([p.birth for p in persons], pa.int64()),
        "sex": pa.array([p.sex for p in persons], pa.string()),
        **{name: lists(happened, name, pa.int64()) for name in ("time", "available", "superseded", "code")},
        "value": lists(happened, "value", pa.float32()),
        **{f"coverage_{name}": lists(covered, name, pa.int64()) for name in coverage},
    }
    return pa.RecordBatch.from_pydict(columns)


def samples_of(persons: list[Person], times: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Every person at every time."""
    row = np.repeat(np.arange(len(persons)), len(times))
    return row.astype(np.int64), np.tile(np.array(times, np.int64), len(persons))


def same_blocks(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """All blocks are there, and equal bit by bit."""
    assert set(found) == set(expected)
    for name, block in expected.items():
        np.testing.assert_array_equal(found[name], block, err_msg=name)

"""A data set's manifest: its files with their row groups and SHA-256s, and what it was made from.

It is committed last, so a folder without one is no data set, and a file that it does not name is no part of one.
Its own SHA-256 is the data set's hash.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from salus.cohorts.classes import Outcomes
from salus.cohorts.intervals import Intervals, incidence
from salus.cohorts.label import MEDIAN
from salus.datasets.folder import Folder, sha256
from salus.errors import Refused
from salus.timelines.blocks import Block

MANIFEST = "manifest.json"
SPEC = "spec.json"
FORBIDDEN = ("_common_metadata", "_metadata")
"""Petastorm unpickles what ``_common_metadata`` holds: whoever can write there would run code in every rank."""


@dataclass(frozen=True)
class RowGroup:
    """A row group of a split: its position in the manifest's order, where it lies, and its rows."""

    position: int
    file: str
    row_group: int
    rows: int


@dataclass(frozen=True)
class Split:
    """One split of a data set."""

    name: str
    folder: Folder
    blocks: Mapping[str, Block]
    content: Mapping[str, Any]

    @property
    def rows(self) -> int:
        """Samples in it."""
        return self.content["rows"]

    @property
    def positives(self) -> int:
        """Samples whose label is above 0."""
        return self.content["positives"]

    @property
    def mean_label(self) -> float:
        """The mean of its labels: of an event, the share of positives."""
        return self.content.get("label_sum", self.positives) / self.rows

    @cached_property
    def groups(self) -> list[RowGroup]:
        """Its row groups, in the order of the manifest: the order that every reader numbers them by."""
        every = (
            (file["name"], index, rows) for file in self.content["files"] for index, rows in enumerate(file["groups"])
        )
        return [RowGroup(position, *where) for position, where in enumerate(every)]

    @property
    def files(self) -> list[str]:
        """Names of its files, in the order of the manifest."""
        return [file["name"] for file in self.content["files"]]

    def only(self, blocks: Iterable[str]) -> "Split":
        """The same split, of which only some blocks are read.

        Raises:
            Refused: it does not hold one of them.
        """
        if missing := sorted(set(blocks) - set(self.blocks)):
            raise Refused(
                f"Received the block {missing[0]} to be read from {self.folder.url}; expected some of "
                f"{', '.join(self.blocks)}. Ask for it in `features` of the task and export again, or choose another "
                "architecture."
            )
        return replace(self, blocks={name: block for name, block in self.blocks.items() if name in set(blocks)})

    def verify(self, rank: int = 0, ranks: int = 1) -> None:
        """Compare every ``ranks``-th file's bytes, from the ``rank``-th, with its SHA-256.

        Raises:
            Refused: a file is missing or is not what was written.
        """
        for file in self.content["files"][rank::ranks]:
            if not self.folder.has(file["name"]) or sha256(self.folder.read(file["name"])) != file["sha256"]:
                raise Refused(
                    f"Received {self.folder.url}/{file['name']}, which is missing or changed since it was exported; "
                    "expected the bytes that the manifest's SHA-256 names. Export the data set again."
                )


class Timed(NamedTuple):
    """What a data set of times to event says of them.

    Attributes:
        intervals: of the horizon.
        hazards: of each cause, in each interval, in the training split.
    """

    intervals: Intervals
    hazards: Sequence[Sequence[float]]


class Classed(NamedTuple):
    """What a data set of several classes says of them.

    Attributes:
        outcomes: the classes.
        shares: of the training split, in which each holds.
    """

    outcomes: Outcomes
    shares: Sequence[float]


class Quantiled(NamedTuple):
    """What a data set of numbers says of them that are told by quantiles.

    Attributes:
        levels: ascending, the median among them.
        of_everybody: the quantiles of the training split's labels, in their unit.
    """

    levels: Sequence[float]
    of_everybody: Sequence[float]

    @property
    def median(self) -> float:
        """Of the training split's labels."""
        return self.of_everybody[list(self.levels).index(MEDIAN)]


@dataclass(frozen=True)
class Dataset:
    """An exported data set, as its manifest states it."""

    folder: Folder
    content: Mapping[str, Any]
    hash: str

    @cached_property
    def blocks(self) -> dict[str, Block]:
        """The named blocks of its inputs."""
        return {
            name: Block(tuple(each["shape"]), each["dtype"], each["ids"])
            for name, each in self.content["blocks"].items()
        }

    @property
    def width(self) -> int:
        """Inputs a sample, over all blocks."""
        return sum(block.size for block in self.blocks.values())

    @property
    def spec_hash(self) -> str:
        """SHA-256 of the feature spec that the inputs were made by."""
        return self.content["spec_hash"]

    @property
    def inputs(self) -> dict[str, int]:
        """Delta versions of the tables that it was made from."""
        return dict(self.content["tables"])

    @property
    def timed(self) -> Timed | None:
        """Intervals and hazards of a time to event; None of other labels."""
        label = self.content.get("label", {})
        if "hazards" not in label:
            return None
        return Timed(Intervals(tuple(label["intervals_days"]), label["causes"]), label["hazards"])

    @property
    def classed(self) -> Classed | None:
        """The classes, where there are several; None of other labels."""
        label = self.content.get("label", {})
        if "classes" not in label:
            return None
        return Classed(Outcomes(tuple(label["classes"]), label["is_exclusive"]), label["shares"])

    @property
    def quantiled(self) -> Quantiled | None:
        """The levels and the training labels' quantiles, where quantiles are told; None of other labels."""
        label = self.content.get("label", {})
        return Quantiled(label["levels"], label["of_everybody"]) if "levels" in label else None

    @property
    def has_several(self) -> bool:
        """Whether a network says several numbers a sample."""
        return any(each is not None for each in (self.timed, self.classed, self.quantiled))

    @property
    def mean_label(self) -> float:
        """The mean of the training labels: of an event, the share of positives, and so of the class in the focus; of a
        time to event, the incidence."""
        if self.classed is not None:
            return self.classed.shares[-1]
        return self.split("train").mean_label if self.timed is None else float(incidence(self.timed.hazards)[-1])

    @property
    def of_everybody(self) -> float:
        """What is told of everybody by whoever looks at nothing: the mean of the training labels, or their median."""
        return self.mean_label if self.quantiled is None else self.quantiled.median

    def split(self, name: str) -> Split:
        """Its split ``name``."""
        return Split(name, self.folder / name, self.blocks, self.content["splits"][name])

    def spec(self) -> bytes:
        """The feature spec, as JSON."""
        return self.folder.read(SPEC)


def stated(blocks: Mapping[str, Block]) -> dict[str, dict[str, Any]]:
    """Blocks as a manifest states them."""
    return {
        name: {"shape": list(block.shape), "dtype": block.dtype, "ids": block.ids} for name, block in blocks.items()
    }


def open_dataset(url: str) -> Dataset:
    """The data set in the folder ``url``.

    Raises:
        Refused: there is no manifest, or the folder carries Petastorm's pickled metadata.
    """
    folder = Folder(url)
    if not folder.has(MANIFEST):
        raise Refused(
            f"Received the data set folder {url} without {MANIFEST}; expected a finished export. Export again."
        )
    text = folder.read(MANIFEST)
    dataset = Dataset(folder, folder.read_json(MANIFEST), sha256(text))
    for place in (folder, *(folder / split for split in dataset.content["splits"])):
        if carried := [name for name in FORBIDDEN if place.has(name)]:
            raise Refused(
                f"Received the data set {url} with {carried[0]}, which may hold a pickle; expected plain Parquet only. "
                "Find out who wrote it, remove it, or export the data set again."
            )
    return dataset

"""A data set whose outcomes follow from the first input's size: a line can't learn it, a network can."""

from itertools import pairwise

import numpy as np

from salus.datasets.folder import Folder, sha256
from salus.datasets.groups import group_bounds
from salus.datasets.manifest import stated
from salus.datasets.parquet import Samples, written
from salus.timelines.spec import FeatureSpec

SPEC = FeatureSpec(
    windows_days=(),
    numeric_windows_days=(),
    count_statistics=(),
    numeric_statistics=(),
    enrolment_days=tuple(range(1, 10)),
    groups=(),
)
ROWS = {"train": 3001, "tuning": 600, "calibration": 0, "held_out": 0}


def write_dataset_of_sizes(warehouse, task_id):
    """Write it as the newest data set of a task."""
    datasets = Folder(f"{warehouse}/_datasets/{task_id}")
    random = np.random.default_rng(3)
    splits = {}
    for split, rows in ROWS.items():
        inputs = random.normal(size=(rows, SPEC.width)).astype(np.float32)
        label = random.random(rows) < 1 / (1 + np.exp(4 - 3 * np.abs(inputs[:, 0])))
        samples = Samples(
            np.arange(rows) // 5,
            np.arange(rows),
            {"inputs": inputs},
            label.astype(np.float32),
            np.ones(rows, np.float32),
        )
        groups = [samples[start:end] for start, end in pairwise(group_bounds(rows, 12, 100))]
        files = []
        if groups:
            content = written(groups)
            (datasets / f"made/{split}").write("part-000000.parquet", content)
            files = [
                {
                    "name": "part-000000.parquet",
                    "sha256": sha256(content),
                    "bytes": content.size,
                    "groups": [len(group) for group in groups],
                }
            ]
        splits[split] = {"rows": rows, "positives": int(label.sum()), "files": files}
    made = datasets / "made"
    made.write("spec.json", SPEC.to_json().encode())
    made.write_json(
        "manifest.json",
        {
            "format": 1,
            "blocks": stated(SPEC.blocks),
            "spec_hash": SPEC.hash,
            "tables": {"timelines": 3},
            "splits": splits,
        },
    )
    datasets.write_json("newest.json", {"hash": "made"})

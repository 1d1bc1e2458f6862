"""What networks are trained on here: small samples, by one rank."""

from itertools import pairwise

import horovod.tensorflow as hvd
import numpy as np
import pytest

from salus.datasets.folder import Folder, sha256
from salus.datasets.groups import group_bounds
from salus.datasets.manifest import open_dataset, stated
from salus.datasets.parquet import Samples, written
from tiny_network import BLOCKS, WIDTH


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """1,200 training and 300 tuning samples whose outcome follows from the first input."""
    folder = Folder(str(tmp_path_factory.mktemp("dataset")))
    random = np.random.default_rng(5)
    splits = {}
    for split, rows in (("train", 1200), ("tuning", 300)):
        inputs = random.normal(size=(rows, WIDTH)).astype(np.float32)
        label = (random.random(rows) < 1 / (1 + np.exp(1 - 2 * inputs[:, 0]))).astype(np.float32)
        weight = random.uniform(1, 2, rows).astype(np.float32)
        samples = Samples(np.arange(rows), np.arange(rows), {"inputs": inputs}, label, weight)
        groups = [samples[start:end] for start, end in pairwise(group_bounds(rows, 12, 100))]
        content = written(groups)
        (folder / split).write("part.parquet", content)
        splits[split] = {
            "rows": rows,
            "positives": int(label.sum()),
            "files": [{"name": "part.parquet", "sha256": sha256(content), "groups": [len(group) for group in groups]}],
        }
    folder.write_json(
        "manifest.json", {"format": 1, "blocks": stated(BLOCKS), "spec_hash": "s", "tables": {}, "splits": splits}
    )
    return open_dataset(folder.url)


@pytest.fixture(scope="module", autouse=True)
def alone():
    """Horovod of one rank, without a launcher."""
    hvd.init()

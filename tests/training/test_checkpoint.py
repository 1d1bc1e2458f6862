"""Whose checkpoint it is that a training goes on from, and whether it is whole."""

from dataclasses import replace

import pytest

from salus.datasets.folder import Folder
from salus.errors import Refused
from salus.training import checkpoint
from salus.training.plan import TrainingPlan, checkpoint_key
from tiny_network import NETWORK


def test_a_checkpoint_of_other_work_is_not_gone_on_from():
    plan = TrainingPlan("d", "hash", "c", (NETWORK,))
    keys = {
        checkpoint_key(plan, NETWORK, 2),
        checkpoint_key(plan, NETWORK, 3),
        checkpoint_key(plan, replace(NETWORK, l2=0.5), 2),
        checkpoint_key(replace(plan, dataset_hash="o"), NETWORK, 2),
    }
    assert len(keys) == 4
    assert checkpoint_key(replace(plan, resume=True), NETWORK, 2) in keys
    assert TrainingPlan.from_json(plan.to_json()) == plan


def test_a_damaged_checkpoint_is_refused(tmp_path):
    folder = Folder(str(tmp_path))
    assert checkpoint.load(folder, "none") is None
    folder.write("torn.npz", b"PK\x03\x04 torn")
    with pytest.raises(Refused, match=r"torn\.npz, which can't be read"):
        checkpoint.load(folder, "torn")

"""What one Horovod rank does, from its first import to its last weight."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from salus.datasets.folder import Folder, sha256
from salus.datasets.manifest import open_dataset
from salus.errors import Refused, SalusError
from salus.training.guardian import Heartbeat
from salus.training.plan import TrainingPlan, checkpoint_key

TOLD = "SALUS "
"""What the driver is told at the end stands on a line of stdout that begins with this."""

EPOCHS = "epochs.json"
"""What rank 0 tells while it trains: the metrics of every epoch so far, beside the checkpoints."""


def train_rank(plan_json: str) -> dict[str, Any]:
    """Train the networks of a plan; returns what this rank ended with, and the models where it is rank 0."""
    plan = TrainingPlan.from_json(plan_json)
    with Heartbeat(plan.start_seconds, plan.hang_seconds) as heartbeat:
        tell({"started": os.environ.get("HOROVOD_RANK")})
        try:
            return _train(plan, heartbeat)
        except SalusError as error:
            tell({"refused": str(error), "exit_code": error.exit_code})
            sys.exit(error.exit_code)


def tell(what: dict[str, Any]) -> None:
    """Say something to the driver."""
    print(f"{TOLD}{json.dumps(what)}", flush=True)


def _train(plan, heartbeat):
    import horovod.tensorflow as hvd
    import tensorflow as tf

    from salus.training.board import Board
    from salus.training.loop import Loop
    from salus.training.package import model_bytes

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    hvd.init()
    _take_a_gpu(hvd.local_rank())
    rank, ranks = hvd.rank(), hvd.size()
    dataset = open_dataset(plan.dataset)
    if dataset.hash != plan.dataset_hash:
        raise Refused(
            f"Received the data set {plan.dataset} of another hash than this training's; expected it "
            "unchanged. Train again."
        )
    for split in ("train", "tuning"):
        dataset.split(split).verify(rank, ranks)
    checkpoints = Folder(plan.checkpoints)
    networks: dict[str, Any] = {}
    told: list[dict[str, Any]] = []

    for network in plan.networks:
        loop = Loop(dataset, network, heartbeat.beat, _encoder(plan, network))
        work = checkpoint_key(plan, network, ranks)
        board = Board(plan.warehouse, work, plan.resume) if plan.warehouse and rank == 0 else None

        def report(epoch, board=board):
            if rank == 0:
                told.append(epoch)
                checkpoints.write_json(EPOCHS, told)
            if board:
                board.tell(epoch)

        state = loop.run(checkpoints, work, plan.resume, report)
        networks[network.name] = {
            "history": state.history,
            "weights": sha256(b"".join(array.tobytes() for array in state.best)),
            "model": model_bytes(loop.told()) if rank == 0 else None,
        }
    hvd.shutdown()
    return {"rank": rank, "ranks": ranks, "networks": networks}


def _take_a_gpu(local_rank):
    """Leave this rank the one GPU that Spark assigned to its task (``spark.task.resource.gpu.amount``); where Spark
    assigns none, the one of its number on this host."""
    import tensorflow as tf
    from horovod.spark.task import get_available_devices

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        mine = gpus[gpu_of(get_available_devices(), local_rank, len(gpus))]
        tf.config.set_visible_devices(mine, "GPU")
        tf.config.experimental.set_memory_growth(mine, True)


def gpu_of(assigned: Sequence[str], local_rank: int, gpus: int) -> int:
    """Which of a host's ``gpus`` a rank takes.

    Raises:
        Refused: there is none for it.
    """
    mine = int(assigned[0]) if assigned else local_rank
    if mine >= gpus:
        raise Refused(
            f"Received rank {local_rank} of a host for GPU {mine} of {gpus}; expected a GPU a rank. Ask Spark for one "
            "a task (spark.task.resource.gpu.amount=1), or train on fewer ranks."
        )
    return mine


def _encoder(plan, network):
    """The pre-trained encoder that ``network`` begins from; None where it begins from chance."""
    from salus.training.package import load_package

    if network.encoder is None:
        return None
    package = load_package(f"{plan.warehouse}/{network.encoder}")
    if package.hash != network.encoder_hash:
        raise Refused(
            f"Received the encoder {network.encoder} of another hash than the one that was named; expected it "
            "unchanged. Run pretrain again."
        )
    return package.model

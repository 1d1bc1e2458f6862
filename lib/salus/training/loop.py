"""The train loop that every network goes through, on one rank or on many.

Each sample weighs the same in an epoch's gradients, whichever batch and rank it fell to: a rank's loss is the
weighted sum over its batch, divided by what a batch holds on average, and Horovod takes the mean over ranks.
Epochs stop when the tuning loss, over all tuning samples of all ranks, no longer falls; the best weights are kept.
"""

import gc
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import horovod.tensorflow as hvd
import keras
import numpy as np
import tensorflow as tf

from salus.datasets.feed import batches, in_order, steps_an_epoch
from salus.datasets.folder import Folder
from salus.datasets.manifest import Dataset, Split
from salus.datasets.parquet import Samples
from salus.models import build, pretraining
from salus.models.objectives import Objective, objective
from salus.timelines.blocks import taken
from salus.training import checkpoint
from salus.training.checkpoint import State
from salus.training.optimiser import Optimiser
from salus.training.plan import CODES, NetworkPlan

TUNING_ROWS_A_CALL = 4096
Report = Callable[[dict[str, Any]], None]


class Loop:
    """One network in training on this rank.

    Args:
        dataset: what it learns from.
        plan: its architecture and settings.
        beat: called whenever the rank has got on.
        encoder: a pre-trained one, that the network begins from.
    """

    def __init__(
        self,
        dataset: Dataset,
        plan: NetworkPlan,
        beat: Callable[[], None] = lambda: None,
        encoder: keras.Model | None = None,
    ):
        keras.utils.set_random_seed(plan.seed)
        self.dataset, self.plan, self.beat = dataset, plan, beat
        train = dataset.split("train")
        self.objective, self.model = _posed(dataset, plan)
        given = [] if encoder is None else pretraining.begin_from(self.model, encoder)
        read = {each.name: tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in self.model.inputs}
        self.train, self.tuning = train.only(read), dataset.split("tuning").only(read)
        self.steps = steps_an_epoch(self.train, hvd.size(), plan.batch_size)
        self.optimiser = Optimiser(
            self.model.trainable_variables,
            plan.rate(hvd.size()),
            given,
            plan.encoder_rate,
            round(plan.warm_up_epochs * self.steps),
        )
        self.rows_a_step = self.train.rows / (self.steps * hvd.size())
        each_sample = tf.TensorSpec((None,), tf.float32)
        none = np.empty(0, np.float32)
        target = tf.TensorSpec((None, *self.objective.targets(none, none).shape[1:]), tf.float32)
        self._step = tf.function(self._train_step, input_signature=[read, target, each_sample])
        self._outputs = tf.function(lambda inputs: self._said(inputs, training=False), input_signature=[read])

    def run(self, checkpoints: Folder, name: str, resume: bool, report: Report) -> State:
        """Train to the end, and leave the best weights in the model.

        Args:
            checkpoints: where rank 0 leaves a checkpoint an epoch.
            name: of the checkpoint.
            resume: go on from the checkpoint, where there is one.
            report: called with the metrics of each epoch.
        """
        state = (checkpoint.load(checkpoints, name) if resume else None) or State()
        if state.variables:
            self._put(self.model.variables, state.variables)
            self._put(self.optimiser.variables, state.optimiser)
        hvd.broadcast_variables([v.value for v in (*self.model.variables, *self.optimiser.variables)], root_rank=0)
        try:
            while not state.finished:
                state.history.append(self._epoch(len(state.history)))
                self._judge(state)
                if hvd.rank() == 0:
                    checkpoint.save(checkpoints, name, state)
                report(state.history[-1] | {"network": self.plan.name, "epochs": self.plan.epochs})
                _forget_readers()
        finally:
            gc.unfreeze()
        self._put(self.model.variables, state.best)
        return state

    def told(self) -> keras.Model:
        """The model that is packaged: with the weights of now, in 32 bits."""
        if self.plan.precision == "float32":
            return self.objective.told(self.model)
        wanted, model = _posed(self.dataset, replace(self.plan, precision="float32"))
        model.set_weights(self.model.get_weights())
        return wanted.told(model)

    def _epoch(self, epoch: int) -> dict[str, Any]:
        begun = time.perf_counter()
        loss, rows, digest = 0.0, 0, 0
        fed = _Timed(
            batches(self.train, self.plan.reader, hvd.rank(), hvd.size(), self.plan.batch_size, self.plan.seed, epoch)
        )
        for batch in fed:
            target = self.objective.targets(batch.label, batch.observed_days)
            loss += float(self._step(batch.inputs, target, batch.weight))
            rows += len(batch)
            digest ^= samples_digest(batch.subject_id, batch.prediction_time)
            self.beat()
        totals = hvd.allreduce(tf.constant([loss, rows], tf.float64), op=hvd.Sum, name="epoch_totals").numpy()
        seconds = time.perf_counter() - begun
        tuning_loss, metric = self._tuned()
        return {
            "epoch": epoch + 1,
            "loss": float(totals[0] * self.rows_a_step / self.train.rows),
            "tuning_loss": tuning_loss,
            f"tuning_{self.objective.metric}": metric,
            "samples": int(totals[1]),
            "seconds": seconds,
            "samples_a_second": totals[1] / seconds,
            "rank_waited_seconds": fed.waited,
            "rank_memory_mb": _resident_mb(),
            "rank_samples": rows,
            "rank_digest": digest,
        }

    def _judge(self, state: State) -> None:
        """Keep the weights if they are the best so far; all ranks take rank 0's word for whether to stop."""
        losses = [epoch["tuning_loss"] for epoch in state.history]
        best = int(np.argmin(losses))
        stop = len(losses) - 1 - best >= self.plan.patience or len(losses) >= self.plan.epochs
        is_best, stop = hvd.broadcast(tf.constant([best == len(losses) - 1, stop]), 0, name="verdict").numpy()
        state.variables = [v.numpy() for v in self.model.variables]
        state.optimiser = [v.numpy() for v in self.optimiser.variables]
        if is_best:
            state.best = state.variables
        state.finished = bool(stop)

    def _said(self, inputs, training):
        """What the model says: (samples,), or (samples, outputs) where its objective is not flat."""
        outputs = tf.cast(self.model(inputs, training=training), tf.float32)
        return outputs[:, 0] if self.objective.is_flat else outputs

    def _train_step(self, inputs, target, weight):
        with tf.GradientTape() as tape:
            outputs = self._said(inputs, training=True)
            loss = tf.reduce_sum(weight * self.objective.loss(target, outputs)) / self.rows_a_step
            penalised = loss + tf.add_n(self.model.losses) if self.model.losses else loss
        # As one group, all gradients are agreed upon and sent at once, not each in a round of its own.
        compression = getattr(hvd.Compression, self.plan.gradient_compression)
        tape = hvd.DistributedGradientTape(tape, compression=compression, sparse_as_dense=True, num_groups=1)
        variables = self.model.trainable_variables
        gradients = tape.gradient(penalised, [v.value for v in variables])
        self.optimiser.apply(gradients, variables)
        return loss

    def _tuned(self) -> tuple[float, float]:
        """The weighted loss that training makes small, and the metric, over the tuning samples of all ranks.

        Infinity and NaN where training has diverged: weights without a meaning are never the best.
        """
        outputs, target, weight = (
            hvd.allgather(tf.constant(each), name=f"tuned_{place}").numpy().astype(np.float64)
            for place, each in enumerate(self._predicted(self.tuning))
        )
        if not np.isfinite(outputs).all():
            return math.inf, math.nan
        loss = np.average(self.objective.loss(tf.constant(target), tf.constant(outputs)).numpy(), weights=weight)
        if hvd.rank() != 0:
            return float(loss), float("nan")
        return float(loss), self.objective.measure(target, outputs, weight)

    def _predicted(self, split: Split) -> list[np.ndarray]:
        """Outputs, targets and weights of this rank's share of ``split``, float32 (samples, ...) each."""
        none = np.empty(0, np.float32)
        said = np.empty(0 if self.objective.is_flat else (0, self.objective.outputs), np.float32)
        parts = [(said, self.objective.targets(none, none), none)]
        for samples in in_order(split, hvd.rank(), hvd.size()):
            made = [
                self._outputs(taken(samples.inputs, slice(start, start + TUNING_ROWS_A_CALL))).numpy()
                for start in range(0, len(samples), TUNING_ROWS_A_CALL)
            ]
            target = self.objective.targets(samples.label, samples.observed_days)
            parts.append((np.concatenate(made), target, samples.weight))
            self.beat()
        return [np.concatenate(part) for part in zip(*parts)]

    @staticmethod
    def _put(variables, values):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _posed(dataset: Dataset, plan: NetworkPlan) -> tuple[Objective, keras.Model]:
    """What is to be learnt, and the untrained model of ``plan`` that can."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(plan.precision)
    try:
        return _built(dataset, plan)
    finally:
        keras.config.set_dtype_policy(before)


def _built(dataset, plan):
    if plan.label == CODES:
        return pretraining.of_codes(), pretraining.build(plan.architecture, dataset.blocks, plan)
    asked = objective(plan.label, dataset.mean_label, plan, dataset.timed, dataset.classed, dataset.quantiled)
    return asked, build(plan.architecture, dataset.blocks, plan, asked.start, asked.outputs)


class _Timed:
    """An iterator that says how long it was waited for: the part of an epoch in which the network had no input."""

    def __init__(self, items: Iterator[Samples]):
        self._items, self.waited = items, 0.0

    def __iter__(self):
        return self

    def __next__(self) -> Samples:
        begun = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.waited += time.perf_counter() - begun


def _forget_readers() -> None:
    """Free what an epoch's readers leave in circles, megabytes of it, before memory grows around it.

    What outlives the epoch is put aside, so that the next one need not be looked through for it.
    """
    gc.collect()
    gc.freeze()


def _resident_mb() -> float:
    """Resident memory of this process (Linux's proc_pid_statm(5)), MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def samples_digest(subject_id: np.ndarray, prediction_time: np.ndarray) -> int:
    """A 64-bit number of a set of samples that any order gives, and any loss or repetition changes.

    Exclusive or of each sample's SplitMix64 (Steele et al., OOPSLA 2014).
    """
    with np.errstate(over="ignore"):
        z = subject_id.astype(np.uint64) + prediction_time.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return int(np.bitwise_xor.reduce(z ^ (z >> np.uint64(31)), initial=np.uint64(0)))

"""What the ranks are asked to do, as plain data that can be sent, hashed and kept beside the model."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

CODES = "codes"
"""In the place of a label's kind: the network is pre-trained, and learns people's own codes."""


@dataclass(frozen=True)
class NetworkPlan:
    """One network to train.

    Args:
        name: of the registered model.
        architecture: of ``salus.models``.
        hidden: units of each hidden layer.
        units: width of embedded events, recurrent states and convolutions.
        layers: of attention or convolution.
        attention_heads: of each layer of attention.
        dropout: share of hidden units dropped a step.
        l2: L2 penalty of the weights.
        label_smoothing: share of a label that is given to both classes evenly.
        positive_weight: how many negatives a positive counts as.
        focal_gamma: power of the focal loss; 0 = log loss.
        learning_rate: of Adam, at its height, on one rank.
        epochs: at most.
        batch_size: samples a rank and step, at most.
        patience: epochs without a better tuning loss before training stops.
        seed: of initial weights, dropout and the order of samples.
        warm_up_epochs: over which the learning rate rises to its height.
        rate_by_ranks: how the learning rate grows with the number of ranks: ``none``, ``sqrt`` or ``linear``.
        gradient_compression: ``none``, or ``fp16`` while gradients travel.
        precision: ``float32`` or ``mixed_bfloat16``.
        ahead_days: in pre-training, the days after an event whose codes are asked for.
        reader: ``petastorm`` or ``arrow``.
        label: its kind (``salus.cohorts.label.KINDS``), or ``CODES``.
        encoder: where the package of the pre-trained encoder lies that it begins from, under the warehouse; None = it
            begins from chance.
        encoder_hash: of that package.
        encoder_rate: share of the learning rate at which the encoder's weights go on.
    """

    name: str
    architecture: str
    hidden: list[int] = field(default_factory=list)
    units: int = 32
    layers: int = 2
    attention_heads: int = 2
    dropout: float = 0.0
    l2: float = 0.0
    label_smoothing: float = 0.0
    positive_weight: float = 1.0
    focal_gamma: float = 0.0
    learning_rate: float = 0.001
    epochs: int = 20
    batch_size: int = 512
    patience: int = 3
    seed: int = 7
    warm_up_epochs: float = 0.0
    rate_by_ranks: str = "none"
    gradient_compression: str = "none"
    precision: str = "float32"
    ahead_days: int = 90
    reader: str = "petastorm"
    label: str = "event"
    encoder: str | None = None
    encoder_hash: str | None = None
    encoder_rate: float = 1.0

    @classmethod
    def of(cls, name: str, architecture: str, settings: Mapping[str, Any], label: str = "event") -> "NetworkPlan":
        """The plan for a task's model; settings that are not the training's are left out."""
        mine = {key: value for key, value in settings.items() if key in cls.__dataclass_fields__}
        return cls(name, architecture, label=label, **mine)

    def rate(self, ranks: int) -> float:
        """The learning rate at its height on so many ranks, each with batches of ``batch_size``.

        Linear: Goyal et al., Accurate, Large Minibatch SGD, 2017, https://arxiv.org/abs/1706.02677. By the square root,
        for Adam: Malladi et al., On the SDEs and Scaling Rules for Adaptive Gradient Algorithms, NeurIPS 2022.
        """
        return self.learning_rate * {"none": 1.0, "sqrt": ranks**0.5, "linear": float(ranks)}[self.rate_by_ranks]


@dataclass(frozen=True)
class TrainingPlan:
    """What one Horovod run does: networks, one after the other, on one data set.

    Args:
        dataset: folder of the data set.
        dataset_hash: of its manifest.
        checkpoints: folder of the checkpoints, on storage that all ranks share.
        networks: what to train.
        resume: go on from the checkpoints, where there are any.
        warehouse: under which the networks' encoders lie and TensorBoard's logs go; empty = neither.
        hang_seconds: a rank that does nothing for so long is killed.
        start_seconds: the same, before its first step.
    """

    dataset: str
    dataset_hash: str
    checkpoints: str
    networks: tuple[NetworkPlan, ...]
    resume: bool = False
    warehouse: str = ""
    hang_seconds: float = 40.0
    start_seconds: float = 300.0

    def to_json(self) -> str:
        """As text that a rank can read."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "TrainingPlan":
        """What ``to_json`` wrote."""
        content = json.loads(text)
        return cls(**content | {"networks": tuple(NetworkPlan(**network) for network in content["networks"])})


def checkpoint_key(plan: TrainingPlan, network: NetworkPlan, ranks: int) -> str:
    """Names the work of which a checkpoint is a part: another data set, setting or number of ranks is other work."""
    work = json.dumps([plan.dataset_hash, asdict(network), ranks], sort_keys=True)
    return f"{network.name}-{hashlib.sha256(work.encode()).hexdigest()[:16]}"

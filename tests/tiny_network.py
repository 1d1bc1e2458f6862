"""A network that learns in a second, the inputs that it reads, and its training on one rank."""

from salus.datasets.folder import Folder
from salus.timelines.blocks import Block
from salus.training.loop import Loop
from salus.training.plan import NetworkPlan

WIDTH = 6
BLOCKS = {"inputs": Block((WIDTH,))}
NETWORK = NetworkPlan(
    "tiny",
    "mlp",
    hidden=[8],
    dropout=0.3,
    l2=1e-4,
    learning_rate=0.01,
    epochs=5,
    batch_size=64,
    patience=5,
    reader="arrow",
)


class Killed(Exception):
    """Stands for the end of a process."""


def trained(dataset, folder, network=NETWORK, resume=False, killed_after=None):
    """The loop's model and final state; the run can be made to end after some epoch's checkpoint."""

    def report(epoch):
        if epoch["epoch"] == killed_after:
            raise Killed

    loop = Loop(dataset, network)
    state = loop.run(Folder(str(folder)), "tiny", resume, report)
    return loop.model, state

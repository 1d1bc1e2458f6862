"""A checkpoint an epoch: everything that decides what the next epoch does, replaced at once.

Arrays lie in NumPy's own format, read without pickles. A checkpoint holds the model's variables (those of its
dropout's random generators too), the optimiser's, the best weights so far, and the history; the position in the
data follows from the epoch's number and the seed.
"""

import io
import json
from dataclasses import dataclass, field
from typing import Any
from zipfile import BadZipFile

import numpy as np

from salus.datasets.folder import Folder
from salus.errors import Refused


@dataclass
class State:
    """Where a training stands after an epoch.

    Args:
        variables: of the model.
        optimiser: variables of the optimiser.
        best: the model's variables at the lowest tuning loss.
        history: one mapping of metrics an epoch, from the first.
        finished: training has stopped.
    """

    variables: list[np.ndarray] = field(default_factory=list)
    optimiser: list[np.ndarray] = field(default_factory=list)
    best: list[np.ndarray] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False


def save(folder: Folder, name: str, state: State) -> None:
    """Put ``state`` in the place of the last checkpoint ``name``."""
    arrays = {
        f"{part}.{index}": array
        for part in ("variables", "optimiser", "best")
        for index, array in enumerate(getattr(state, part))
    }
    header = json.dumps({"history": state.history, "finished": state.finished}).encode()
    stream = io.BytesIO()
    np.savez(stream, header=np.frombuffer(header, np.uint8), **arrays)
    folder.write(f"{name}.npz", stream.getvalue())


def load(folder: Folder, name: str) -> State | None:
    """The checkpoint ``name``; None where there is none.

    Raises:
        Refused: it can't be read.
    """
    if not folder.has(f"{name}.npz"):
        return None
    try:
        with np.load(io.BytesIO(folder.read(f"{name}.npz")), allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            parts = {
                part: [file[f"{part}.{index}"] for index in range(_count(file, part))]
                for part in ("variables", "optimiser", "best")
            }
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise Refused(
            f"Received the checkpoint {folder.url}/{name}.npz, which can't be read; expected one of Salus. "
            "Remove it, or train without --resume."
        ) from error
    return State(**parts, history=header["history"], finished=header["finished"])


def _count(file, part):
    return sum(1 for name in file.files if name.startswith(f"{part}."))

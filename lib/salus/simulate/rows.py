"""Tables as one array a column."""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Rows:
    """A dataclass of equally long arrays."""

    def take(self, index: np.ndarray):
        """The same table with the rows in ``index``, in that order."""
        return type(self)(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def followed_by(self, other):
        """The same table with the rows of ``other`` after its own."""
        return type(self)(
            **{f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)}
        )

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

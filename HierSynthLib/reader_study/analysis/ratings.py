"""The answers to one item as an array, which every statistic takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Ratings:
    """Answers to one item that are numbers.

    Attributes:
        item: its identifier.
        arms: names.
        cases: identifiers.
        readers: study codes.
        values: (arms, cases, readers), NaN where an answer is missing.
    """

    item: str
    arms: tuple[str, ...]
    cases: tuple[str, ...]
    readers: tuple[str, ...]
    values: Values

    def of(self, arm: str) -> Values:
        """(cases, readers) of one arm."""
        table: Values = self.values[self.arms.index(arm)]
        return table

    def difference(self, test: str, reference: str) -> Values:
        """(cases, readers): test − reference arm, NaN where either is missing."""
        found: Values = self.of(test) - self.of(reference)
        return found

    def with_values(self, values: Values) -> Ratings:
        """The same answers on another scale."""
        return replace(self, values=values)

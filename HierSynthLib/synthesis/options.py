"""The shapes of networks as they stand in model packages: read and checked before anything is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from HierSynthLib.errors import ModelError

LARGEST = 4096
"""Size that a package may ask for at most; keeps a damaged file from asking for all memory."""


@dataclass(frozen=True)
class InputOptions:
    """What every network reads.

    Attributes:
        sequences: number of input sequences M.
        slices: number of neighbouring slices of each sequence (odd; the centre one is synthesised).
    """

    sequences: int = 4
    slices: int = 5

    @property
    def inputs(self) -> int:
        """Channels of the network's input: M × slices, M availability planes, the brain mask."""
        return self.sequences * self.slices + self.sequences + 1


Options = TypeVar("Options", bound=InputOptions)


def parse_options(kind: type[Options], values: dict[str, Any], levels: tuple[int, int] = (2, 8)) -> Options:
    """Read and check the options of a network as they stand in a model package.

    Args:
        kind: the dataclass of the options; its fields are whole numbers, lists of them and switches.
        values: the options by name; what is absent has its default.
        levels: least and greatest length of a list; a list whose default is empty may also be empty.

    Raises:
        ModelError: an unknown key, a wrong type or a size outside what a package may ask for.
    """
    known = {field.name: field.default for field in dataclasses.fields(kind)}
    unknown = sorted(str(key) for key in values if key not in known)
    if unknown:
        raise ModelError(f"Unknown network option '{unknown[0]}'.", f"Known are: {', '.join(known)}.")
    merged = {**known, **values}
    for key, default in known.items():
        value = merged[key]
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise ModelError(f"Network option '{key}' is {value!r}.", "true or false is allowed.")
        elif isinstance(default, tuple):
            merged[key] = _sizes(key, value, levels, may_be_empty=not default)
        else:
            _require_size(key, value, value)
    if merged.get("spatial_dims", 2) != 2:
        raise ModelError("The model is three-dimensional.", "This version runs 2.5-D models only.")
    if merged["slices"] % 2 == 0:
        raise ModelError("Network option 'slices' is even.", "It must be odd: the centre slice is synthesised.")
    return kind(**merged)


def _sizes(key: str, value: Any, levels: tuple[int, int], may_be_empty: bool) -> tuple[int, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ModelError(f"Network option '{key}' is {value!r}.", "A list of whole numbers is allowed.")
    for size in value:
        _require_size(key, size, value)
    if not (levels[0] <= len(value) <= levels[1] or (may_be_empty and not value)):
        allowed = str(levels[0]) if levels[0] == levels[1] else f"{levels[0]} to {levels[1]}"
        raise ModelError(f"Network option '{key}' has {len(value)} levels.", f"{allowed} are allowed.")
    return tuple(value)


def _require_size(key: str, size: Any, shown: Any) -> None:
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= LARGEST:
        raise ModelError(f"Network option '{key}' is {shown!r}.", f"Whole numbers from 1 to {LARGEST} are allowed.")

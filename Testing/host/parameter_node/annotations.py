"""What `Annotated[type, …]` may say about a parameter.

Followed: validators.py and default.py of Slicer's parameterNodeWrapper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Validator(Protocol):
    """Refuses values."""

    def validate(self, value: Any) -> None:
        """Raise a ValueError or TypeError for a value that the parameter cannot take."""


@dataclass(frozen=True)
class Default:
    """The value of a parameter that was never set."""

    value: Any = None


@dataclass(frozen=True)
class NotNone:
    """The parameter always has a value."""

    def validate(self, value: Any) -> None:
        """Refuse None."""
        if value is None:
            message = "Value must not be None"
            raise ValueError(message)


@dataclass(frozen=True)
class IsInstance:
    """The parameter has a type; None passes."""

    types: Any

    def validate(self, value: Any) -> None:
        """Refuse other types."""
        if value is not None and not isinstance(value, self.types):
            message = f"Value must be of type {self.types}, is {value!r}"
            raise TypeError(message)


@dataclass(frozen=True)
class WithinRange:
    """From minimum to maximum, both included."""

    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        """Refuse values outside."""
        if not self.minimum <= value <= self.maximum:
            message = f"Value must be within range [{self.minimum}, {self.maximum}], is {value}"
            raise ValueError(message)


@dataclass(frozen=True)
class Minimum:
    """Not below minimum."""

    minimum: float

    def validate(self, value: Any) -> None:
        """Refuse smaller values."""
        if value < self.minimum:
            message = f"Value must not be below {self.minimum}, is {value}"
            raise ValueError(message)


@dataclass(frozen=True)
class Maximum:
    """Not above maximum."""

    maximum: float

    def validate(self, value: Any) -> None:
        """Refuse greater values."""
        if value > self.maximum:
            message = f"Value must not be above {self.maximum}, is {value}"
            raise ValueError(message)


@dataclass(frozen=True)
class Choice:
    """One of a list."""

    choices: Sequence[Any]

    def validate(self, value: Any) -> None:
        """Refuse values that are not in the list."""
        if value not in self.choices:
            message = f"Value is {value}, but must be one of {self.choices}"
            raise ValueError(message)


def first_of(annotations: Sequence[Any], kind: type) -> Any:
    """The first annotation of a class, or None."""
    return next((annotation for annotation in annotations if isinstance(annotation, kind)), None)

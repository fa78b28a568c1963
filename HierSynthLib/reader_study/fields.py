"""Taking fields out of a JSON or YAML object, with errors that name the field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from HierSynthLib.errors import InputError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
"""What an identifier of an item, a reader or an arm may look like."""

_KINDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "an object {…}"}


class Fields:
    """The fields of one object; what is not taken by the end is unknown."""

    def __init__(self, data: object, where: str) -> None:
        """Begin with an object.

        Args:
            data: what was read from a file.
            where: how to name it in errors, such as "form → items → 2".

        Raises:
            InputError: it is no object.
        """
        if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
            raise InputError(f"{where}: an object with named fields is expected.", "See docs/reader-study.md.")
        self.where = where
        self._left: dict[str, Any] = dict(data)

    def text(self, name: str, default: str | None = None, *, choices: Sequence[str] = ()) -> str:
        """A text; without `default` it must be there and not empty."""
        value = self._take(name, str, default)
        if default is None and not value.strip():
            raise self.fault(name, "should not be empty")
        if choices and value not in choices:
            raise self.fault(name, f"is {value!r}; known are {', '.join(choices)}")
        return str(value)

    def name(self, name: str) -> str:
        """An identifier: letters, digits, "_", "-" and ".", at most 40."""
        value = self.text(name)
        if not NAME.fullmatch(value):
            raise self.fault(name, f"is {value!r}; letters, digits, _ - and . are allowed, at most 40")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        return bool(self._take(name, bool, default))

    def whole(self, name: str, default: int | None = None, *, least: int = 0, most: int = 2**63 - 1) -> int:
        """A whole number in a range."""
        value = int(self._take(name, int, default))
        if not least <= value <= most:
            raise self.fault(name, f"is {value}; {least} to {most} is possible")
        return value

    def number(self, name: str, default: float | None = None, *, least: float, most: float) -> float:
        """A finite number in a range."""
        value = float(self._take(name, float, default))
        if not (math.isfinite(value) and least <= value <= most):
            raise self.fault(name, f"is {value:g}; {least:g} to {most:g} is possible")
        return value

    def positive(self, name: str, default: float | None = None, *, most: float) -> float:
        """A number greater than 0."""
        value = self.number(name, default, least=0.0, most=most)
        if value <= 0:
            raise self.fault(name, "should be greater than 0")
        return value

    def names(self, name: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """A list of different identifiers."""
        values = self.items(name, default)
        for value in values:
            if not isinstance(value, str) or not NAME.fullmatch(value):
                raise self.fault(name, f"has {value!r}; letters, digits, _ - and . are allowed, at most 40")
        if len(set(values)) < len(values):
            raise self.fault(name, "names something twice")
        return tuple(values)

    def items(self, name: str, default: Sequence[Any] | None = None) -> list[Any]:
        """A list of anything."""
        if name not in self._left and default is not None:
            return list(default)
        value = self._left.pop(name, None)
        if not isinstance(value, list | tuple):
            raise self.fault(name, "should be a list")
        return list(value)

    def mapping(self, name: str, default: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """An object with texts as names."""
        value = self._take(name, dict, default)
        if not all(isinstance(key, str) for key in value):
            raise self.fault(name, "should have texts as names")
        return dict(value)

    def anything(self, name: str, default: Any = None) -> Any:
        """The field as it is."""
        return self._left.pop(name, default)

    def has(self, name: str) -> bool:
        """Whether the field is there and not yet taken."""
        return name in self._left

    def finish(self) -> None:
        """Raise `InputError` if a field was not taken, because it is unknown."""
        if self._left:
            raise self.fault(min(self._left), "is unknown here")

    def fault(self, name: str, what: str) -> InputError:
        """The error for a field."""
        return InputError(f'{self.where}: "{name}" {what}.', "Correct the field; docs/reader-study.md lists them all.")

    def _take(self, name: str, kind: type, default: Any) -> Any:
        if name not in self._left:
            if default is None:
                raise self.fault(name, "is missing")
            return default
        value = self._left.pop(name)
        allowed = (int, float) if kind is float else kind
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
            raise self.fault(name, f"should be {_KINDS[kind]}")
        return value

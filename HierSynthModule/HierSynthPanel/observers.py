"""Observers of VTK objects that are removed together."""

from collections.abc import Callable
from typing import Any

Key = tuple[Any, Any]


class Observers:
    """Remembers the observers that were added, so that none is left behind."""

    def __init__(self) -> None:
        self._tags: dict[Key, int] = {}

    def add(self, subject: Any, event: Any, callback: Callable[..., None]) -> None:
        """Call `callback` at an event of an object; asking twice changes nothing."""
        if (subject, event) not in self._tags:
            self._tags[subject, event] = subject.AddObserver(event, callback)

    def keep(self, wanted: Callable[[Any], bool]) -> None:
        """Stop observing the objects that are not wanted any more."""
        for subject, event in [key for key in self._tags if not wanted(key[0])]:
            subject.RemoveObserver(self._tags.pop((subject, event)))

    def clear(self) -> None:
        """Stop observing."""
        self.keep(lambda _: False)

"""From showings to presentations: neutral identifiers, and the key that leads back from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from HierSynthLib.reader_study.protocol import Protocol
from HierSynthLib.reader_study.schedule import Showing, digest
from HierSynthLib.reader_study.study import Presentation

_ID_LETTERS = 12
"""Hexadecimal digits of an identifier: two of 10⁴ images are the same with a probability of 2·10⁻⁷."""


@dataclass(frozen=True)
class Blinded:
    """A schedule under neutral identifiers, and what they mean.

    Attributes:
        presentations: everything that is shown to any reader.
        schedules: reader → (session, presentation, training).
        maps: neutral image id → (case, arm).
        sources: neutral image id → (case, role).
        duplicates: presentation → the one that it repeats.
    """

    presentations: tuple[Presentation, ...]
    schedules: Mapping[str, list[tuple[int, str, bool]]]
    maps: Mapping[str, tuple[str, str]]
    sources: Mapping[str, tuple[str, str]]
    duplicates: Mapping[str, str]


def blind(
    protocol: Protocol, schedule: Mapping[str, Sequence[Showing]], sources: Mapping[str, Sequence[str]]
) -> Blinded:
    """Give every map, source and presentation an identifier that follows from the seed, and from nothing visible.

    A hidden duplicate has image identifiers of its own.

    Args:
        protocol: with seed.
        schedule: reader → showings.
        sources: case → roles that it has.
    """
    maps: dict[str, tuple[str, str]] = {}
    shown: dict[str, tuple[str, str]] = {}
    presentations: dict[str, Presentation] = {}
    duplicates: dict[str, str] = {}

    def present(showing: Showing) -> str:
        images = tuple(_image(protocol, showing, arm) for arm in showing.arms)
        maps.update(zip(images, ((showing.case, arm) for arm in showing.arms), strict=True))
        beside = {role: role for role in protocol.mode(showing.mode).sources if role in sources[showing.case]}
        beside = {role: _short(protocol, "source", showing.case, role) for role in beside}
        shown.update({image: (showing.case, role) for role, image in beside.items()})
        identifier = _presentation(protocol, showing)
        labels = showing.arms if showing.mode == "unblinded" else ()
        presentations[identifier] = Presentation(identifier, showing.mode, images, beside, labels)
        if showing.duplicate:
            duplicates[identifier] = _presentation(protocol, showing._replace(duplicate=False, arms=showing.arms[::-1]))
        return identifier

    schedules = {
        reader: [(showing.session, present(showing), showing.training) for showing in showings]
        for reader, showings in schedule.items()
    }
    return Blinded(tuple(presentations.values()), schedules, maps, shown, duplicates)


def _image(protocol: Protocol, showing: Showing, arm: str) -> str:
    return _short(protocol, "image", showing.case, arm, "again" if showing.duplicate else "")


def _presentation(protocol: Protocol, showing: Showing) -> str:
    again = "again" if showing.duplicate else ""
    return _short(protocol, "presentation", showing.mode, showing.case, again, *showing.arms)


def _short(protocol: Protocol, *words: str) -> str:
    return digest(protocol.seed, *words)[:_ID_LETTERS]

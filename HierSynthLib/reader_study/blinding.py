"""From showings to presentations: neutral identifiers, and the key that leads back from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from HierSynthLib.reader_study.protocol import Protocol
from HierSynthLib.reader_study.schedule import Showing, digest
from HierSynthLib.reader_study.study import Presentation

_ID_LETTERS = 16
"""Hexadecimal digits of an identifier: two of 10⁶ images are the same with a probability of 3·10⁻⁸."""


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
    """Give everything that is shown identifiers that follow from the seed, and from nothing visible.

    Nothing keeps its identifier: the same map, or the same source beside it, has another one in each mode, for each
    partner, for each repetition and, where images are not shared, for each reader. So no two presentations of a reader
    can be linked by their names, and hence neither arms nor hidden duplicates be found.

    Args:
        protocol: with seed.
        schedule: reader → showings.
        sources: case → roles that it has.
    """
    maps: dict[str, tuple[str, str]] = {}
    shown: dict[str, tuple[str, str]] = {}
    presentations: dict[str, Presentation] = {}
    duplicates: dict[str, str] = {}

    def present(reader: str, showing: Showing) -> str:
        images = {_short(protocol, "image", reader, showing, arm): arm for arm in showing.arms}
        maps.update((image, (showing.case, arm)) for image, arm in images.items())
        roles = [role for role in protocol.mode(showing.mode).sources if role in sources[showing.case]]
        beside = {role: _short(protocol, "source", reader, showing, role) for role in roles}
        shown.update((image, (showing.case, role)) for role, image in beside.items())
        identifier = _short(protocol, "presentation", reader, showing)
        labels = showing.arms if showing.mode == "unblinded" else ()
        presentations[identifier] = Presentation(identifier, showing.mode, tuple(images), beside, labels)
        if showing.duplicate:
            original = showing._replace(duplicate=False, arms=showing.arms[::-1])
            duplicates[identifier] = _short(protocol, "presentation", reader, original)
        return identifier

    schedules = {
        reader: [(showing.session, present(reader, showing), showing.training) for showing in showings]
        for reader, showings in schedule.items()
    }
    return Blinded(tuple(presentations.values()), schedules, maps, shown, duplicates)


def _short(protocol: Protocol, what: str, reader: str, showing: Showing, *words: str) -> str:
    own = "" if protocol.shared_images else reader
    again = "again" if showing.duplicate else ""
    text = digest(protocol.seed, what, own, showing.mode, showing.case, again, *showing.arms, "", *words)
    return text[:_ID_LETTERS]

"""The schedule: who reads which map of which case in which session, at which position and on which side.

Algorithm. Everything that is drawn is an order by the SHA-256 of the seed and of what is ordered (`drawn_order`), so
that a seed gives the same schedule with every version of Python and numpy.

1. A mode has one *unit* per arm, or per pair (reference, other arm) where two maps are shown, and one session per unit.
2. The cases are put in a drawn order and dealt to the rows of a Williams square of the units (Williams 1949, Aust. J.
   Sci. Res. A 2:149), beginning with a drawn row: the row is the order in which a case's units come in the sessions.
   Each unit is equally frequent in each session and follows each other unit equally often.
3. Each reader's rows are moved on by one from those of the reader before (readers in a drawn order), so that each case
   is read in every order by equally many readers. Rows are moved on among those of one direction, and after a whole
   turn to the reversed ones: so the sessions in which the readers see a map tell nothing about its unit.
4. Within a session the order of the cases is drawn for each reader.
5. A share of the cases, drawn once for the study and dealt evenly to the rows, is shown a second time in the same
   session, in every session: first in the first third, then in the last third, in the same order among themselves. So
   all sessions are equally long.
6. Of pairs, the reference is left in one half of the cases and right in the other (drawn, the halves change places
   from reader to reader). A duplicate has the sides exchanged.
7. Training cases come first in the first session of a mode, one unit each; which unit and which side are drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.form import ModeKind
from HierSynthLib.reader_study.protocol import Mode, Protocol

Unit = tuple[str, ...]
"""The arm, or the two arms, that are shown at once."""


class Showing(NamedTuple):
    """One position of a schedule, not yet blinded.

    Attributes:
        mode: how it is shown.
        session: number from 1, over all modes.
        case: identifier.
        arms: one, or left and right.
        duplicate: whether it repeats an earlier one of the session.
        training: whether it is for practice.
    """

    mode: ModeKind
    session: int
    case: str
    arms: Unit
    duplicate: bool = False
    training: bool = False


def make_schedule(protocol: Protocol, cases: Sequence[str], training: Sequence[str] = ()) -> dict[str, list[Showing]]:
    """The schedule of each reader.

    Args:
        protocol: with arms and seed.
        cases: identifiers of the cases that are analysed.
        training: identifiers of the cases for practice.

    Returns:
        Reader → showings in the order of reading.

    Raises:
        InputError: there is no case, or one is named twice.
    """
    everything = [*cases, *training]
    if not cases:
        raise InputError("A study needs at least one case that is not for training.", "Give more case folders.")
    if len(set(everything)) < len(everything):
        twice = next(case for case in everything if everything.count(case) > 1)
        raise InputError(f"Two cases are called {twice}.", 'Change the "id" in the case.json of one.')
    schedule: dict[str, list[Showing]] = {reader: [] for reader in protocol.readers}
    first = 1
    for mode in protocol.modes:
        plan = _ModePlan(protocol, mode, cases, training)
        readers = drawn_order(protocol.seed, protocol.readers, mode.kind, "readers")
        for number, reader in enumerate(readers):
            schedule[reader] += plan.showings(reader, number, first)
        first += len(plan.units)
    return schedule


def repeats(protocol: Protocol, cases: int) -> int:
    """How many of some cases, training left out, are shown a second time in each session."""
    return round(protocol.duplicates * cases)


def units_of(mode: Mode, reference: str) -> list[Unit]:
    """What a mode shows of a case: each arm, or the reference with each other arm."""
    if not mode.paired:
        return [(arm,) for arm in mode.arms]
    return [(reference, arm) for arm in mode.arms if arm != reference]


def drawn_order(seed: int | None, names: Iterable[str], *purpose: str) -> list[str]:
    """Names in the order of the SHA-256 of seed, purpose and name.

    Args:
        seed: of the study.
        names: different texts.
        purpose: what the order is for; another purpose gives another order.
    """
    return sorted(names, key=lambda name: digest(seed, *purpose, name))


def digest(seed: int | None, *words: str) -> str:
    """SHA-256 of the seed and some words, hexadecimal; the words are separated by a character that they cannot hold."""
    return hashlib.sha256("\x1f".join((str(seed), *words)).encode()).hexdigest()


def williams_rows(count: int) -> list[list[int]]:
    """The rows of a Williams square of `count` units: `count` rows, or twice as many where `count` is odd.

    In the rows together, each unit stands equally often at each place, and each ordered pair of different units stands
    equally often side by side.
    """
    zigzag = [(place + 1) // 2 if place % 2 else (count - place // 2) % count for place in range(count)]
    rows = [[(unit + shift) % count for unit in zigzag] for shift in range(count)]
    return rows + [row[::-1] for row in rows] if count % 2 and count > 1 else rows


class _ModePlan:
    """What is drawn for a mode once, for all readers."""

    def __init__(self, protocol: Protocol, mode: Mode, cases: Sequence[str], training: Sequence[str]) -> None:
        self._seed, self._mode = protocol.seed, mode
        self.units = units_of(mode, protocol.reference)
        self._rows = williams_rows(len(self.units))
        self._cases = self._drawn(cases, "cases")
        self._training = self._drawn(training, "training")
        self._first_row, self._first_unit = self._number("first row"), self._number("first unit")
        self._sides = {unit: self._halved(cases, "sides", *unit) for unit in self.units}
        self._repeated = self._dealt(repeats(protocol, len(cases)))

    def showings(self, reader: str, number: int, first: int) -> list[Showing]:
        """The sessions of one reader; `number` is the reader's place, `first` the number of the first session."""
        result = self._practice(reader, number, first)
        for offset in range(len(self.units)):
            here = {case: self.units[self._row(place, number)[offset]] for place, case in enumerate(self._cases)}
            for case, duplicate in self._ordered(here, reader, str(offset)):
                arms = self._sided(case, here[case], number)
                arms = arms[::-1] if duplicate else arms
                result.append(Showing(self._mode.kind, first + offset, case, arms, duplicate=duplicate))
        return result

    def _ordered(self, here: Mapping[str, Unit], reader: str, offset: str) -> list[tuple[str, bool]]:
        """The cases of one session in the order of reading, each with whether it is a repetition.

        With n positions, of which d are repetitions, those lie in the last max(d, n // 3) positions and what they
        repeat in as many at the beginning, in the same order: the two are at least n // 3 positions apart.
        """
        order = self._drawn(here, "order", reader, offset)
        repeated = [case for case in order if case in self._repeated]
        count = len(order) + len(repeated)
        third = max(len(repeated), count // 3)
        slots = [str(number) for number in range(third)]
        front = {int(s) for s in self._drawn(slots, "front", reader, offset)[: len(repeated)]}
        back = {count - 1 - int(s) for s in self._drawn(slots, "back", reader, offset)[: len(repeated)]}
        others = iter([case for case in order if case not in set(repeated)])
        firsts, seconds = iter(repeated), iter(repeated)
        return [
            (next(seconds), True) if place in back else (next(firsts if place in front else others), False)
            for place in range(count)
        ]

    def _row(self, place: int, number: int) -> list[int]:
        """The order in which a reader has the units of a case: one of those of a direction, then of the reversed."""
        count = len(self.units)
        turn, direction = (place + number + self._first_row) % count, place // count + number // count
        return self._rows[(turn + count * (direction + self._first_row // count)) % len(self._rows)]

    def _practice(self, reader: str, number: int, session: int) -> list[Showing]:
        swapped = self._halved(self._training, "training sides", reader)
        units = [self.units[(place + number + self._first_unit) % len(self.units)] for place in range(len(swapped))]
        return [
            Showing(self._mode.kind, session, case, unit[::-1] if swapped[case] else unit, training=True)
            for case, unit in zip(self._training, units, strict=True)
        ]

    def _sided(self, case: str, unit: Unit, number: int) -> Unit:
        """The unit as left and right."""
        return unit[::-1] if (self._sides[unit][case] + number) % 2 else unit

    def _dealt(self, share: int) -> set[str]:
        """The repeated cases: as many from each row of the square as possible."""
        groups = [self._drawn(self._cases[row :: len(self._rows)], "repeated") for row in range(len(self._rows))]
        dealt = [group[depth] for depth in range(len(groups[0])) for group in groups if depth < len(group)]
        return set(dealt[:share])

    def _halved(self, names: Sequence[str], *purpose: str) -> dict[str, int]:
        """0 for one half of the names and 1 for the other, drawn; of an odd number the larger half is drawn, too."""
        first = self._number(*purpose)
        return {name: (place + first) % 2 for place, name in enumerate(self._drawn(names, *purpose))}

    def _number(self, *purpose: str) -> int:
        """A drawn number, large enough that its remainders are equally frequent."""
        return int(digest(self._seed, self._mode.kind, "number", *purpose)[:16], 16)

    def _drawn(self, names: Iterable[str], *purpose: str) -> list[str]:
        return drawn_order(self._seed, names, self._mode.kind, *purpose)

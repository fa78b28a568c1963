"""One line per role on whether its volume fits, quick enough to follow the user's choices."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from HierSynthLib.case.examination import (
    Head,
    examine_alone,
    examine_values,
    find_missing,
    first_sequence,
    has_error,
)
from HierSynthLib.case.problem import Problem
from HierSynthLib.case.roles import SEQUENCES, Role
from HierSynthLib.volume import Volume

Level = Literal["ok", "info", "warning", "error", "missing"]


@dataclass(frozen=True)
class Check:
    """What to say about a role.

    Attributes:
        level: "ok"; "info" where something will be done with the volume (resampled, units converted); "missing"; or as
            the worst of its problems.
        text: one line: grid and voxel size, or what is wrong.
        tooltip: all that is known: grid, every problem and what to do.
    """

    level: Level
    text: str
    tooltip: str = ""


def check_roles(
    volumes: Mapping[Role, Volume],
    *,
    reference: Role | None = None,
    expected: Collection[Role] = SEQUENCES,
    problems: Iterable[Problem] = (),
    quick: bool = True,
) -> dict[Role | None, Check]:
    """Check the volumes chosen for the roles.

    Args:
        volumes: the volumes at hand.
        reference: the volume on whose grid the result will lie; None takes the first of `SEQUENCES` at hand.
        expected: the volumes that should be there.
        problems: what the caller knows to be wrong, such as a transform that is not linear.
        quick: look at the values of some voxels only; a volume of 240 × 240 × 155 voxels then takes a few ms.

    Returns:
        A check for every role that is at hand or expected, in the order of the roles, and under None one for the case
        as a whole where something concerns no single volume.
    """
    steps = check_steps(volumes, reference=reference, expected=expected, problems=problems, quick=quick)
    checks = dict(steps)
    return {key: checks[key] for key in (None, *Role) if key in checks}


def check_steps(
    volumes: Mapping[Role, Volume],
    *,
    reference: Role | None = None,
    expected: Collection[Role] = SEQUENCES,
    problems: Iterable[Problem] = (),
    quick: bool = True,
) -> Iterator[tuple[Role | None, Check]]:
    """As `check_roles`, one role at every step, the reference first: a panel can take the steps one by one."""
    known = list(problems)
    missing = {problem.role: problem for problem in find_missing(volumes, reference, expected)}
    of_case = [problem for problem in (*missing.values(), *known) if problem.role is None]
    if of_case:
        yield None, _check_of_problems(of_case, "")
    for role in expected:
        if role not in volumes:
            yield role, _check_of_absence(missing.get(role), role == reference)
    base = reference or first_sequence(volumes)
    head: Head | None = None
    for role in sorted((role for role in Role if role in volumes), key=lambda role: role != base):
        volume = volumes[role]
        found = [problem for problem in known if problem.role == role] + examine_alone(role, volume, quick=quick)
        notes: list[Problem] = []
        if not has_error(found):
            of_values = examine_values(role, volume, quick=quick)
            # Units that had to be guessed are usual: files hardly ever state them.
            usual = role == Role.ADC and not volume.units and not has_error(of_values)
            (notes if usual else found).extend(of_values)
            if role == base:
                head = Head(volume, role)
            elif head:
                found += head.examine_place(role, volume, quick=quick)
        yield role, _check_of_volume(role, volume, volumes.get(base) if base and base != role else None, found, notes)


def _check_of_absence(problem: Problem | None, is_reference: bool) -> Check:
    if problem is None:
        return Check("missing", "Not chosen.")
    return Check("error" if is_reference else "missing", problem.what, str(problem))


def _check_of_volume(
    role: Role, volume: Volume, reference: Volume | None, problems: list[Problem], notes: list[Problem]
) -> Check:
    line = _describe_grid(volume)
    if problems:
        return _check_of_problems(problems + notes, line)
    # Regions are no image on a grid: a segmentation keeps just the box around each of them.
    reference = None if role == Role.ROI else reference
    resampled = reference is not None and not volume.same_grid(reference)
    if resampled:
        line += ", different grid → will be resampled"
    elif reference is not None:
        line += ", grid of the reference"
    if notes:
        return Check("info", notes[0].what, "\n".join([line, *map(str, notes)]))
    return Check("info" if resampled else "ok", line, line)


def _check_of_problems(problems: list[Problem], line: str) -> Check:
    worst = min(problems, key=lambda problem: problem.severity != "error")
    return Check(worst.severity, worst.what, "\n".join(filter(None, [line, *map(str, problems)])))


def _describe_grid(volume: Volume) -> str:
    """For example "240 × 240 × 155, 1.0 × 1.0 × 1.0 mm"."""
    frames = f" × {volume.frames} frames" if volume.frames > 1 else ""
    edges = " × ".join(f"{edge:.1f}" if edge >= 0.95 else f"{edge:.2f}" for edge in volume.spacing)
    return f"{' × '.join(map(str, volume.grid))}{frames}, {edges} mm"

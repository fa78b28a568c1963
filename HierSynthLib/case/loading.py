"""Reading the volumes of a case, with everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable

from HierSynthLib.case.adc import convert_adc
from HierSynthLib.case.examination import examine
from HierSynthLib.case.folder import Case
from HierSynthLib.case.problem import Problem
from HierSynthLib.case.roles import SEQUENCES, Role
from HierSynthLib.errors import InputError
from HierSynthLib.progress import Reporter
from HierSynthLib.volume import Volume, read_volume


def load_case(
    case: Case,
    roles: Iterable[Role] | None = None,
    *,
    reference: Role | None = None,
    reporter: Reporter | None = None,
) -> tuple[dict[Role, Volume], list[Problem]]:
    """Read the volumes of a case, each file once, and examine them.

    ADC is converted to 10⁻³ mm²/s.

    Args:
        case: the case; `case.units` are the units of its volumes.
        roles: which volumes to read; None reads all. Roles that the case lacks are left out.
        reference: the volume on whose grid the result will lie; None takes the first of `SEQUENCES` that can be read.
        reporter: told about the stage "reading" before each volume.

    Returns:
        The volumes that could be read, and all problems, in the order of the roles. Files that cannot be read are among
        the problems; no exception is raised for them.
    """
    wanted = tuple(Role) if roles is None else tuple(roles)
    volumes: dict[Role, Volume] = {}
    problems: list[Problem] = []
    for number, role in enumerate(wanted):
        if role in case.files:
            if reporter:
                reporter.progress("reading", number / (len(wanted) + 1))
            try:
                volumes[role] = read_volume(case.files[role], case.units.get(role, ""))
            except InputError as error:
                problems.append(Problem(role, "error", f"{role}: {error.message}", error.hint))
    if reporter:
        reporter.progress("reading", len(wanted) / (len(wanted) + 1))
    unreadable = [problem.role for problem in problems]
    if Role.ADC in volumes:
        volumes[Role.ADC], doubts = convert_adc(volumes[Role.ADC])
        problems += [doubt for doubt in doubts if doubt.severity == "warning"]  # `examine` finds the errors again
    problems += examine(
        volumes,
        reference=reference,
        labels=case.labels,
        expected=[role for role in SEQUENCES if role in wanted and role not in unreadable],
    )
    order = [None, *Role]
    return volumes, sorted(problems, key=lambda problem: order.index(problem.role))


def find_problems(case: Case, *, reference: Role | None = None) -> list[Problem]:
    """Everything that is wrong with a case; see `load_case`."""
    return load_case(case, reference=reference)[1]

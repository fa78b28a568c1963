"""What is wrong with a case, in words for its user."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from HierSynthLib.case.roles import Role
from HierSynthLib.errors import InputError


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a case.

    Attributes:
        role: the volume it concerns; None for the case as a whole.
        severity: "error" where the volume or case cannot be used, "warning" where the result may suffer.
        what: one sentence on what is wrong.
        todo: one sentence on what to do about it.
    """

    role: Role | None
    severity: Literal["error", "warning"]
    what: str
    todo: str

    def __str__(self) -> str:
        return f"{self.what} {self.todo}"


def require_usable(problems: Iterable[Problem]) -> None:
    """Do nothing where there are only warnings.

    Raises:
        InputError: there are errors; its one line lists them all.
    """
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        todos = dict.fromkeys(problem.todo for problem in errors)
        raise InputError(" ".join(problem.what for problem in errors), " ".join(todos))

"""Numbers of the report as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from HierSynthLib.fidelity.measures.definitions import ABSENT

Found = Mapping[str, Any]

NAMES = {
    "percent": "Per cent\nagreement",
    "percent_weighted": "Per cent,\nweighted",
    "kappa": "Kappa\n(mean of pairs)",
    "kappa_linear": "Kappa, linear\n(mean of pairs)",
    "kappa_quadratic": "Kappa, quadratic\n(mean of pairs)",
    "fleiss": "Fleiss' kappa",
    "ac1": "Gwet's AC1",
    "ac2": "Gwet's AC2\n(quadratic)",
    "alpha_nominal": "Alpha,\nnominal",
    "alpha_ordinal": "Alpha,\nordinal",
    "alpha_interval": "Alpha,\ninterval",
    "icc": "ICC(2,1)",
}
"""Heading of each coefficient of agreement."""

_SHARES = {"percent", "percent_weighted"}


def number(value: float | None, decimals: int = 2) -> str:
    """A number with a true minus sign, never −0; "–" where there is none."""
    if value is None:
        return ABSENT
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "−")


def per_cent(value: float | None) -> str:
    """A share as per cent."""
    return ABSENT if value is None else f"{100 * value:.1f} %"


def estimate(found: Found, decimals: int = 2, *, below: bool = False) -> str:
    """A value with its 95 % interval, on one line or two."""
    return number(found["value"], decimals) + _interval(number(found["low"], decimals), found, decimals, below=below)


def share(found: Found, *, below: bool = False) -> str:
    """A share and its 95 % interval in per cent."""
    if found["value"] is None or found["low"] is None:
        return per_cent(found["value"])
    gap = "\n" if below else " "
    return f"{per_cent(found['value'])}{gap}({100 * found['low']:.1f} to {100 * found['high']:.1f} %)"


def coefficient(name: str, found: Found | None) -> str:
    """A coefficient of agreement in a table."""
    if found is None:
        return ABSENT
    return share(found, below=True) if name in _SHARES else estimate(found, below=True)


def p_value(value: float | None) -> str:
    """p with three decimals."""
    if value is None:
        return ABSENT
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds(found: Found) -> str:
    """Median and quartiles of times."""
    if found["median"] is None:
        return ABSENT
    return f"{found['median']:.0f} s ({found['q1']:.0f} to {found['q3']:.0f})"


def minutes(value: float) -> str:
    """A duration of seconds or many of them."""
    if value < 120:
        return f"{value:.0f} s"
    whole = round(value / 60)
    return f"{whole} min" if whole < 120 else f"{whole // 60} h {whole % 60} min"


def heading(name: str) -> str:
    """The heading of a coefficient on one line."""
    return NAMES[name].replace("\n", " ")


def _interval(low: str, found: Found, decimals: int, *, below: bool) -> str:
    if found["low"] is None:
        return ""
    return f"{chr(10) if below else ' '}({low} to {number(found['high'], decimals)})"

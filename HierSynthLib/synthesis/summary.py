"""run.json in words, and the names of results."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any

LONGEST_TEXT = 300
LONGEST_NAME = 80

_WORDS = {
    "synthetic": "CBV SYNTHETIC",
    "global": "CBV global SYNTHETIC",
    "residual": "CBV residual SYNTHETIC",
    "uncertainty": "CBV uncertainty SYNTHETIC",
    "difference": "CBV difference SYNTHETIC",
    "checkerboard": "CBV checkerboard SYNTHETIC",
    "acquired_on_grid": "CBV acquired on grid",
}
_SIMULATED = "(simulated)"
_OWN_NAME = re.compile(r"\s*\bCBV\b(?: \w+)*? (?:SYNTHETIC|acquired on grid)(?![^\W_]).*")


def result_name(reference_name: str, map_key: str, simulated: bool) -> str:
    """The name of a map, e.g. "T1 CBV SYNTHETIC (simulated)".

    Args:
        reference_name: name of the volume on whose grid it lies, or of another map there, whose words are left out.
        map_key: "synthetic", "global", "residual", "uncertainty", "difference", "checkerboard" or "acquired_on_grid".
        simulated: whether the patient is simulated.
    """
    words = _WORDS.get(map_key) or f"CBV {_plain(map_key)} SYNTHETIC"
    reference = _OWN_NAME.sub("", _plain(reference_name))[:LONGEST_NAME].strip()
    return " ".join(filter(None, [reference, words, _SIMULATED if simulated else ""]))


def provenance_lines(run: Mapping[str, Any] | str) -> list[tuple[str, str]]:
    """What run.json says, as rows of label and text in a fixed order.

    Args:
        run: the contents of run.json, or its text. What is missing in it, or not of the kind expected, has no row.

    Returns:
        The rows, each a single line of plain text of at most 300 characters; a row that says so for text that is no
        run.json.
    """
    fields = _parse(run) if isinstance(run, str) else run
    if not isinstance(fields, Mapping):
        return [("Provenance", "The record of the run (run.json) cannot be read.")]
    rows = [(label, describe(_Fields(fields))) for label, describe in _ROWS]
    rows += [(f"Input {_plain(role)}", text) for role, text in _inputs(_Fields(fields))]
    rows += [("Warning", text) for text in _Fields(fields).texts("warnings")]
    return [(label, _plain(text)) for label, text in rows if _plain(text)]


class _Fields:
    """Fields of run.json by their way through it; what is not there, or of another kind, is empty."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def get(self, *way: str) -> Any:
        value: Any = self._fields
        for name in way:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def text(self, *way: str) -> str:
        value = self.get(*way)
        return value if isinstance(value, str) else ""

    def number(self, *way: str) -> float | None:
        return _finite(self.get(*way))

    def numbers(self, *way: str) -> list[float]:
        value = self.get(*way)
        found = [_finite(each) for each in value] if isinstance(value, list) else []
        return [each for each in found if each is not None]

    def texts(self, *way: str) -> list[str]:
        value = self.get(*way)
        return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []

    def names(self, *way: str) -> list[str]:
        value = self.get(*way)
        return [str(name) for name in value] if isinstance(value, Mapping) else []


def _patient(run: _Fields) -> str:
    simulated = run.get("simulated")
    return {True: "simulated", False: "not simulated"}[simulated] if isinstance(simulated, bool) else ""


def _model(run: _Fields) -> str:
    name = " ".join(filter(None, [run.text("model", "name"), run.text("model", "version")]))
    return f"{name}, trained on simulated brains only" if run.get("model", "simulated_training") is True else name


def _seconds(run: _Fields) -> str:
    stages = {name: run.number("seconds", name) for name in run.names("seconds") if ":" not in name}
    known = {name: seconds for name, seconds in stages.items() if seconds is not None}
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in known.items())
    return f"{sum(known.values()):.1f} s ({parts})" if parts else ""


def _mask(run: _Fields) -> str:
    found = [run.text("preparation", "brain_mask", name) for name in ("rating", "words")]
    volume = run.number("preparation", "brain_mask", "volume_ml")
    return ", ".join(filter(None, [found[0], f"{volume:.0f} ml" if volume is not None else "", found[1]]))


def _inputs(run: _Fields) -> Iterable[tuple[str, str]]:
    for role in run.names("inputs"):
        grid, spacing = run.numbers("inputs", role, "grid"), run.numbers("inputs", role, "spacing_mm")
        parts = [
            " × ".join(f"{count:.0f}" for count in grid),
            f"{' × '.join(f'{edge:.2f}' for edge in spacing)} mm" if spacing else "",
            run.text("inputs", role, "units"),
            f"SHA-256 {run.text('inputs', role, 'sha256')[:12]}…" if run.text("inputs", role, "sha256") else "",
        ]
        text = ", ".join(filter(None, parts))
        if text:
            yield role, _plain(text)


_ROWS: list[tuple[str, Callable[[_Fields], str]]] = [
    ("Statement", lambda run: run.text("statement")),
    ("Patient", _patient),
    ("Case", lambda run: run.text("case")),
    ("Made", lambda run: run.text("created")),
    ("Model", _model),
    ("Weights (SHA-256)", lambda run: run.text("model", "weights_sha256")),
    ("HierSynth", lambda run: run.text("hiersynth")),
    ("Device", lambda run: run.text("device")),
    ("Time", _seconds),
    ("Reference", lambda run: run.text("reference")),
    ("Units", lambda run: run.text("units")),
    ("Uncertainty", lambda run: run.text("uncertainty")),
    ("Brain mask", _mask),
]


def _finite(value: object) -> float | None:
    """A number of JSON that can be shown; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _plain(text: str) -> str:
    """A text on one line without control and direction characters, cut to `LONGEST_TEXT`."""
    visible = "".join(
        " " if character.isspace() else character
        for character in text[: 4 * LONGEST_TEXT]
        if character.isspace() or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    line = " ".join(visible.split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"

"""The form: what a reader is asked about each presentation, and which answers are possible."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.fields import NAME, Fields

Kind = Literal["likert", "choice", "confidence", "flag", "text", "hotspots", "outline"]
Purpose = Literal["", "rating", "preference", "origin", "diagnosis", "agreement", "confidence", "flag", "text", "roi"]
ModeKind = Literal["single", "side_by_side", "turing", "unblinded", "roi"]

MODE_KINDS: tuple[ModeKind, ...] = get_args(ModeKind)
PREFERENCES = ("left", "right", "none")
ORIGINS = ("acquired", "synthetic")
CONFIDENCE_RANGE = (0.0, 100.0)

LONGEST_TEXT = 4000
"""Characters of a free text (design value)."""

MOST_MARKS = 50
"""Spheres, or curves, of one answer (design value)."""

_NAMED_PURPOSE: dict[Kind, Purpose] = {
    "likert": "rating", "choice": "", "confidence": "confidence", "flag": "flag", "text": "text", "hotspots": "roi",
    "outline": "roi",
}  # fmt: skip
_FIXED_VALUES = {"preference": PREFERENCES, "origin": ORIGINS}


@dataclass(frozen=True)
class Option:
    """One answer that can be chosen.

    Attributes:
        value: what is stored: a whole number for a Likert item, a word for a choice.
        label: what the reader sees; for a Likert item the anchor, which may be "".
    """

    value: int | str
    label: str


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        id: short name, unique in the form.
        kind: how it is answered. The value is a whole number (likert), one of the options' values (choice), a number
            0–100 (confidence), true or false (flag), a text (text), a list of
            {"centre_mm": [R, A, S], "radius_mm": r} (hotspots), or a list of closed curves
            {"points_mm": [[R, A, S], …]} (outline).
        text: the question.
        options: what can be chosen: Likert points in ascending order, or choices.
        required: whether the presentation can be submitted without it.
        modes: in which modes it is asked.
        purpose: what the analysis takes it for.
        about: of a confidence: the item whose answer it is about.
        positive: of a diagnosis: the value that means that the condition is present.
        truth: of a diagnosis: the field of the key's truth that it is compared with.
        higher_is_better: of a rating: its direction.
        margin: of a rating: the non-inferiority margin in points; None takes that of the protocol.
        primary: of a rating: whether it is a primary end point; where some are, non-inferiority is judged for them
            only.
    """

    id: str
    kind: Kind
    text: str
    options: tuple[Option, ...] = ()
    required: bool = True
    modes: tuple[ModeKind, ...] = MODE_KINDS
    purpose: Purpose = ""
    about: str = ""
    positive: str = ""
    truth: str = ""
    higher_is_better: bool = True
    margin: float | None = None
    primary: bool = False

    def check(self, value: Any) -> Any:
        """Return an answer as it is stored.

        Raises:
            InputError: it is not possible for this item; the message says which answers are.
        """
        checked = _CHECKS[self.kind](self, value)
        if checked is None:
            raise InputError(f'The item "{self.id}" cannot be answered with {_short(value)}.', self._possible())
        return checked

    def as_json(self) -> dict[str, Any]:
        """The fields that `Form.parse` reads."""
        fields = {
            "id": self.id,
            "kind": self.kind,
            "text": self.text,
            "required": self.required,
            "modes": list(self.modes),
            "purpose": self.purpose,
        }
        if self.options:
            fields["options"] = [{"value": option.value, "label": option.label} for option in self.options]
        fields |= {name: getattr(self, name) for name in ("about", "positive", "truth") if getattr(self, name)}
        if self.kind == "likert":
            fields["higher_is_better"] = self.higher_is_better
            fields |= {} if self.margin is None else {"margin": self.margin}
            fields |= {"primary": True} if self.primary else {}
        return fields

    def _possible(self) -> str:
        if self.options:
            return f"Choose one of {', '.join(str(option.value) for option in self.options)}."
        return {
            "confidence": "Give a number from 0 to 100.",
            "flag": "Give true or false.",
            "text": f"Give a text of at most {LONGEST_TEXT} characters.",
            "hotspots": f'Give at most {MOST_MARKS} spheres {{"centre_mm": [R, A, S], "radius_mm": r}}.',
            "outline": f'Give at most {MOST_MARKS} curves {{"points_mm": [[R, A, S], …]}} of 3 points or more.',
        }.get(self.kind, "")


@dataclass(frozen=True)
class Form:
    """The questions of a study.

    Attributes:
        id: short name.
        title: for the reader.
        version: changes whenever a question does.
        items: in the order in which they are asked.
    """

    id: str
    title: str
    version: str
    items: tuple[Item, ...]

    @classmethod
    def parse(cls, data: object, where: str = "form") -> Form:
        """The form that a JSON or YAML object describes.

        Raises:
            InputError: a field is missing, unknown or not as it should be; the message names it.
        """
        fields = Fields(data, where)
        identifier, title, version = fields.name("id"), fields.text("title"), str(fields.anything("version", "1"))
        raw = fields.items("items")
        fields.finish()
        items = tuple(_item(entry, f"{where} → items → {number}") for number, entry in enumerate(raw, start=1))
        if not items:
            raise fields.fault("items", "has no item")
        _check_references(items, where)
        return cls(identifier, title, version, items)

    def as_json(self) -> dict[str, Any]:
        """The fields that `parse` reads."""
        items = [item.as_json() for item in self.items]
        return {"id": self.id, "title": self.title, "version": self.version, "items": items}

    def asked(self, mode: ModeKind) -> tuple[Item, ...]:
        """The items that are asked in a mode."""
        return tuple(item for item in self.items if mode in item.modes)

    def item(self, identifier: str) -> Item:
        """One item.

        Raises:
            InputError: there is none of this name.
        """
        found = next((item for item in self.items if item.id == identifier), None)
        if found is None:
            known = ", ".join(item.id for item in self.items)
            raise InputError(f'The form has no item "{identifier}".', f"It has {known}.")
        return found


def _item(entry: object, where: str) -> Item:
    fields = Fields(entry, where)
    identifier = fields.name("id")
    fields.where = f"{where} ({identifier})"
    kind: Kind = fields.text("kind", choices=get_args(Kind))  # type: ignore[assignment]
    text = fields.text("text")
    modes = fields.names("modes", MODE_KINDS)
    unknown = sorted(set(modes) - set(MODE_KINDS))
    if unknown or not modes:
        raise fields.fault("modes", f"has {unknown[:1] or 'nothing'}; known are {', '.join(MODE_KINDS)}")
    purpose: Purpose = fields.text("purpose", _NAMED_PURPOSE[kind], choices=get_args(Purpose))  # type: ignore[assignment]
    options = _options(fields, kind, purpose)
    about = fields.text("about", "")
    positive, truth = str(fields.anything("positive", "")), fields.text("truth", "")
    margin = fields.positive("margin", most=100.0) if fields.has("margin") else None
    item = Item(
        identifier,
        kind,
        text,
        options,
        fields.flag("required", kind in ("likert", "choice", "confidence")),
        tuple(mode for mode in MODE_KINDS if mode in modes),
        purpose,
        about,
        positive,
        truth,
        fields.flag("higher_is_better", True),
        margin,
        fields.flag("primary", False),
    )
    if item.primary and (kind, purpose) != ("likert", "rating"):
        raise fields.fault("primary", "can only be said of a rating on a Likert scale")
    if purpose == "diagnosis" and (not truth or positive not in {option.value for option in options}):
        raise fields.fault("positive", 'and "truth" are needed: which option means present, compared with which truth')
    fields.finish()
    return item


def _options(fields: Fields, kind: Kind, purpose: Purpose) -> tuple[Option, ...]:
    """Options; "anchors" is a short form for a Likert item: texts of the points 1, 2, …."""
    if kind not in ("likert", "choice"):
        return ()
    if kind == "likert" and fields.has("anchors"):
        anchors = fields.items("anchors")
        options = [Option(number, str(anchor)) for number, anchor in enumerate(anchors, start=1)]
    else:
        options = [_option(entry, kind, fields) for entry in fields.items("options")]
    values = [option.value for option in options]
    if len(options) < 2 or len(set(values)) < len(values):
        raise fields.fault("options", "should be two or more different ones")
    if kind == "likert" and values != sorted(values):
        raise fields.fault("options", "should ascend")
    fixed = _FIXED_VALUES.get(purpose)
    if fixed and not set(values) <= set(fixed):
        raise fields.fault("options", f"of this purpose have the values {', '.join(fixed)}")
    return tuple(options)


def _option(entry: object, kind: Kind, fields: Fields) -> Option:
    if isinstance(entry, Mapping) and set(entry) == {"value", "label"}:
        value, label = entry["value"], str(entry["label"])
    else:
        value, label = entry, str(entry)
    right = isinstance(value, int) and not isinstance(value, bool) if kind == "likert" else isinstance(value, str)
    if not right or (isinstance(value, str) and not NAME.fullmatch(value)):
        what = "whole numbers" if kind == "likert" else "words (quote yes, no, on and off in YAML)"
        raise fields.fault("options", f"should have {what} as values, not {value!r}")
    return Option(value, label)


def _check_references(items: tuple[Item, ...], where: str) -> None:
    names = [item.id for item in items]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f'{where}: two items are called "{twice}".', "Give each its own id.")
    wrong = next((item for item in items if item.about and item.about not in names), None)
    if wrong:
        raise InputError(
            f'{where}: "{wrong.id}" is about "{wrong.about}", which is no item.', "Correct the field about."
        )


def _likert(item: Item, value: Any) -> Any:
    known = isinstance(value, int) and not isinstance(value, bool)
    return value if known and value in {option.value for option in item.options} else None


def _choice(item: Item, value: Any) -> Any:
    return value if isinstance(value, str) and value in {option.value for option in item.options} else None


def _confidence(item: Item, value: Any) -> Any:
    least, most = CONFIDENCE_RANGE
    return float(value) if _is_number(value) and least <= value <= most else None


def _flag(item: Item, value: Any) -> Any:
    return value if isinstance(value, bool) else None


def _text(item: Item, value: Any) -> Any:
    usable = isinstance(value, str) and len(value) <= LONGEST_TEXT and value.isprintable() | ("\n" in str(value))
    return value if usable else None


def _hotspots(item: Item, value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) > MOST_MARKS:
        return None
    spheres = []
    for entry in value:
        if not isinstance(entry, Mapping) or set(entry) != {"centre_mm", "radius_mm"}:
            return None
        centre, radius = _position(entry["centre_mm"]), entry["radius_mm"]
        if centre is None or not _is_number(radius) or radius <= 0:
            return None
        spheres.append({"centre_mm": centre, "radius_mm": float(radius)})
    return spheres


def _outline(item: Item, value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) > MOST_MARKS:
        return None
    curves = []
    for entry in value:
        if not isinstance(entry, Mapping) or set(entry) != {"points_mm"}:
            return None
        points = entry["points_mm"]
        if not isinstance(points, list | tuple) or len(points) < 3:
            return None
        positions = [_position(point) for point in points]
        if None in positions:
            return None
        curves.append({"points_mm": positions})
    return curves


def _position(value: Any) -> list[float] | None:
    """Three finite numbers, RAS mm."""
    if not isinstance(value, list | tuple) or len(value) != 3 or not all(_is_number(v) for v in value):
        return None
    return [float(v) for v in value]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


_CHECKS = {
    "likert": _likert, "choice": _choice, "confidence": _confidence, "flag": _flag, "text": _text,
    "hotspots": _hotspots, "outline": _outline,
}  # fmt: skip

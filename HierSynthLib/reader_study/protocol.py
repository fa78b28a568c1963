"""The protocol: arms, modes, readers, washout, and everything else that is fixed before a study begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, cast, get_args

from HierSynthLib.case import Role
from HierSynthLib.reader_study.fields import Fields
from HierSynthLib.reader_study.form import MODE_KINDS, ModeKind

WASHOUT_DAYS = 28
"""At least four weeks between two readings of a case (Tanenbaum 2017, AJNR 38:1103)."""

MARGIN = 0.5
"""Non-inferiority margin in points of a five-point scale (Tanenbaum 2017, AJNR 38:1103)."""

MOST_DUPLICATES = 0.3
"""Largest share of hidden duplicates (design value)."""

IDLE_AFTER_S = 60.0
"""Time without any action after which a reader counts as idle, s (design value)."""

Origin = Literal["acquired", "synthetic", ""]

_PAIRED: tuple[ModeKind, ...] = ("side_by_side", "unblinded")


@dataclass(frozen=True)
class Arm:
    """One kind of map that is compared.

    Attributes:
        name: such as "acquired".
        source: role of the case ("CBV_acquired"), path inside the case folder, or pattern with "{id}".
        reference: whether the others are compared with it; exactly one arm is.
        origin: what is true in the visual Turing test; "" where that is not known, or neither.
    """

    name: str
    source: str
    reference: bool = False
    origin: Origin = ""


@dataclass(frozen=True)
class Mode:
    """One way in which the cases are shown; it has one session per arm, or per pair of arms.

    Attributes:
        kind: what is shown.
        arms: names of the arms that are shown; empty in the public protocol.
        sources: roles of the images shown beside the map, such as "T1" and "FLAIR".
        instructions: what the reader is told beforehand; for the visual Turing test this is part of the result.
        washout_days: days between the last reading of an earlier session and the first of one of this mode.
    """

    kind: ModeKind
    arms: tuple[str, ...]
    sources: tuple[str, ...] = ()
    instructions: str = ""
    washout_days: float = WASHOUT_DAYS

    @property
    def paired(self) -> bool:
        """Whether two maps of a case are shown at once."""
        return self.kind in _PAIRED


@dataclass(frozen=True)
class DisplaySettings:
    """How every map is shown, whatever its arm.

    Attributes:
        window: lower and upper end of the colours, nrCBV.
        color_map: name of the colour table.
        ceiling: values above it are clipped in the files of all arms, nrCBV.
        step: values are rounded to multiples of it in the files of all arms, nrCBV.
    """

    window: tuple[float, float] = (0.0, 6.0)
    color_map: str = "HierSynth-CBV-Inferno"
    ceiling: float = 10.0
    step: float = 0.001


@dataclass(frozen=True)
class Protocol:
    """Everything that is fixed before the first reading.

    Attributes:
        id: identifier of the study.
        title: of the study, for readers.
        arms: what is compared; empty in the public protocol.
        modes: in the order in which they are read.
        readers: codes of the readers, no names.
        washout_days: between two readings of a case, unless the mode says otherwise.
        duplicates: share of the cases that each arm shows a second time, hidden (0–0.3); 0 in the public protocol.
        training_cases: identifiers of cases that are shown first and not analysed; empty in the public protocol.
        allow_back: whether a reader may go back to what was submitted, and amend it with a reason.
        margin: non-inferiority margin in points.
        seed: of everything that is drawn; None in the public protocol, because the arms follow from it.
        display: how the maps are shown.
        idle_after_s: time without an action after which a reader is idle.
        simulated_readers: whether the answers come from a program.
        align: how the arms of a case are brought together: "files" trusts their coordinates, "register" registers the
            acquired map to the anatomy, "auto" takes the record of a simulated patient and otherwise trusts the files.
        shared_images: whether readers share the files of images. Otherwise each has files of his own, so that names
            tell nothing to who compares the schedules of several readers; that takes as many times the room.
    """

    id: str
    title: str
    arms: tuple[Arm, ...]
    modes: tuple[Mode, ...]
    readers: tuple[str, ...]
    washout_days: float = WASHOUT_DAYS
    duplicates: float = 0.0
    training_cases: tuple[str, ...] = ()
    allow_back: bool = True
    margin: float = MARGIN
    seed: int | None = None
    display: DisplaySettings = field(default_factory=DisplaySettings)
    idle_after_s: float = IDLE_AFTER_S
    simulated_readers: bool = False
    align: str = "auto"
    shared_images: bool = True

    @classmethod
    def parse(cls, data: object, where: str = "protocol") -> Protocol:
        """The protocol that a JSON or YAML object describes, with its arms.

        Raises:
            InputError: a field is missing, unknown, or does not fit the others; the message names it.
        """
        fields = Fields(data, where)
        arms = tuple(_arm(each, f"{where} → arms → {n}") for n, each in enumerate(fields.items("arms"), start=1))
        names = tuple(arm.name for arm in arms)
        if len(arms) < 2 or len(set(names)) < len(names):
            raise fields.fault("arms", "should be two or more with different names")
        if sum(arm.reference for arm in arms) != 1:
            raise fields.fault("arms", 'should have "reference: true" exactly once')
        protocol = cls._common(fields, arms)
        fields.finish()
        return protocol

    @classmethod
    def parse_public(cls, data: object, where: str = "protocol") -> Protocol:
        """The protocol without arms, seed and training cases, as study.json holds it.

        Raises:
            InputError: a field is missing, unknown or not as it should be.
        """
        fields = Fields(data, where)
        protocol = cls._common(fields, ())
        fields.finish()
        return protocol

    @classmethod
    def _common(cls, fields: Fields, arms: tuple[Arm, ...]) -> Protocol:
        washout = fields.number("washout_days", WASHOUT_DAYS, least=0.0, most=3650.0)
        raw = fields.items("modes")
        modes = tuple(
            _mode(each, f"{fields.where} → modes → {n}", arms, washout) for n, each in enumerate(raw, start=1)
        )
        kinds = [mode.kind for mode in modes]
        if not modes or len(set(kinds)) < len(kinds):
            raise fields.fault("modes", "should be one or more different ones")
        if "unblinded" in kinds and len(kinds) > 1:
            raise fields.fault(
                "modes", "has unblinded beside blinded ones, whose maps it would reveal; make it a study of its own"
            )
        readers = fields.names("readers")
        if not readers:
            raise fields.fault("readers", "has no reader")
        return cls(
            id=fields.name("id"),
            title=fields.text("title"),
            arms=arms,
            modes=modes,
            readers=readers,
            washout_days=washout,
            duplicates=fields.number("duplicates", 0.0, least=0.0, most=MOST_DUPLICATES),
            training_cases=tuple(str(each) for each in fields.items("training_cases", ())),
            allow_back=fields.flag("allow_back", True),
            margin=fields.positive("margin", MARGIN, most=100.0),
            seed=fields.whole("seed") if fields.has("seed") else None,
            display=_display(fields.mapping("display", {}), f"{fields.where} → display"),
            idle_after_s=fields.number("idle_after_s", IDLE_AFTER_S, least=1.0, most=3600.0),
            simulated_readers=fields.flag("simulated_readers", False),
            align=fields.text("align", "auto", choices=("auto", "files", "register")),
            shared_images=fields.flag("shared_images", True),
        )

    def public(self) -> Protocol:
        """What the reading part may know: no arms, no seed, no names of cases, and not that some are repeated."""
        modes = tuple(replace(mode, arms=()) for mode in self.modes)
        return replace(self, arms=(), modes=modes, training_cases=(), seed=None, duplicates=0.0)

    def as_json(self) -> dict[str, Any]:
        """The fields that `parse`, or without arms `parse_public`, reads."""
        data = asdict(self)
        data["modes"] = [{name: value for name, value in mode.items() if value != ()} for mode in data["modes"]]
        empty = [name for name in ("arms", "training_cases") if not data[name]] + (
            ["seed"] if self.seed is None else []
        )
        return {name: _listed(value) for name, value in data.items() if name not in empty}

    @property
    def reference(self) -> str:
        """Name of the arm that the others are compared with; "" in the public protocol."""
        return next((arm.name for arm in self.arms if arm.reference), "")

    def mode(self, kind: ModeKind) -> Mode:
        """The mode of a kind; `KeyError` where the protocol does not have it."""
        return {mode.kind: mode for mode in self.modes}[kind]


def _arm(data: object, where: str) -> Arm:
    fields = Fields(data, where)
    name, source = fields.name("name"), fields.text("source")
    known = "acquired" if source == Role.CBV_ACQUIRED else ""
    origin = cast(Origin, fields.text("origin", known, choices=get_args(Origin)))
    arm = Arm(name, source, fields.flag("reference", False), origin)
    fields.finish()
    return arm


def _mode(data: object, where: str, arms: tuple[Arm, ...], washout: float) -> Mode:
    fields = Fields({"kind": data} if isinstance(data, str) else data, where)
    known = tuple(arm.name for arm in arms)
    kind: ModeKind = fields.text("kind", choices=MODE_KINDS)  # type: ignore[assignment]
    chosen = fields.names("arms", known)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise fields.fault("arms", f"has {unknown[0]}; the arms are {', '.join(known)}")
    reference = next((arm.name for arm in arms if arm.reference), "")
    if arms and kind in _PAIRED and (len(chosen) < 2 or reference not in chosen):
        raise fields.fault("arms", "of this mode need the reference and another one")
    if arms and not chosen:
        raise fields.fault("arms", "is empty")
    without = [arm.name for arm in arms if arm.name in chosen and not arm.origin]
    if kind == "turing" and without:
        raise fields.fault(
            "arms", f'has {without[0]}, of which nobody knows what is true; add "origin: synthetic" (or acquired) to it'
        )
    mode = Mode(
        kind,
        chosen,
        fields.names("sources", ()),
        fields.text("instructions", ""),
        fields.number("washout_days", washout, least=0.0, most=3650.0),
    )
    fields.finish()
    return mode


def _display(data: Mapping[str, Any], where: str) -> DisplaySettings:
    fields, usual = Fields(data, where), DisplaySettings()
    window = fields.items("window", usual.window)
    color_map = fields.text("color_map", usual.color_map)
    ceiling = fields.number("ceiling", usual.ceiling, least=0.1, most=1000.0)
    step = fields.number("step", usual.step, least=1e-6, most=1.0)
    fields.finish()
    numbers = [each for each in window if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(window) != 2 or len(numbers) != 2 or not 0 <= numbers[0] < numbers[1] <= ceiling:
        raise fields.fault("window", "should be two ascending numbers from 0 to the ceiling")
    return DisplaySettings((float(numbers[0]), float(numbers[1])), color_map, ceiling, step)


def _listed(value: Any) -> Any:
    """The same with lists instead of tuples, as JSON has it."""
    if isinstance(value, dict):
        return {name: _listed(each) for name, each in value.items()}
    return [_listed(each) for each in value] if isinstance(value, list | tuple) else value

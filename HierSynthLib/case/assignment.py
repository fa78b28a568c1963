"""Which volume plays which role, from names, DICOM series descriptions and contents: only where it is clear."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from HierSynthLib.case.appearance import can_be_adc, is_adc_in_mm2_per_s, is_t2, why_no_image
from HierSynthLib.case.naming import Reading, preference, read_name
from HierSynthLib.case.roles import SEQUENCES, Role

ASSIGNED = (*SEQUENCES, Role.ASL, Role.CBV_ACQUIRED, Role.ROI)
"""The roles for which volumes are looked for."""

_WITH_FRAMES = (Role.ASL,)
_NATIVE = 4  # how much better an image is whose name says that no contrast agent had been given
_NO_AGENT = {"", "NO", "NONE", "NEIN", "N", "WITHOUT", "NATIVE", "NATIV"}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A volume that may play a role.

    Attributes:
        key: what its owner calls it; unique.
        name: its name.
        description: its DICOM series description.
        sample: every n-th voxel along each axis, (i, j, k); None where the content shall not be looked at.
        frames: number of images in it.
        is_label: whether it is known to be a label map.
        hints: DICOM attributes, keyword → text: ImageType, ContrastBolusAgent, InversionTime, EchoTime, RepetitionTime.
    """

    key: str
    name: str
    description: str = ""
    sample: NDArray[Any] | None = None
    frames: int = 1
    is_label: bool = False
    hints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Assignment:
    """Who plays what.

    Attributes:
        roles: role → key of a candidate; no candidate has two roles.
        reasons: role → why, one sentence.
        unassigned: key → why it has no role, for all other candidates.
        ambiguous: role → keys of candidates between which the user has to choose.
        notes: what the user should be told, one sentence each.
    """

    roles: dict[Role, str]
    reasons: dict[Role, str]
    unassigned: dict[str, str]
    ambiguous: dict[Role, tuple[str, ...]]
    notes: list[str]


@dataclass(frozen=True)
class _Finding:
    """What is known of a candidate: the role it can play, or why none, and how that was found."""

    candidate: Candidate
    role: Role | None
    what: str
    rank: int = 0


def assign(candidates: Iterable[Candidate]) -> Assignment:
    """Find a volume for each role, from what names, series descriptions, DICOM attributes and contents say.

    The order of the candidates does not matter. A role for which two candidates are equally good, an image that
    contradicts itself, and a T1 image that may have been taken after contrast agent are left to the user: a wrong guess
    is worse than none. T1 and FLAIR are never told by their content.
    """
    findings = [_examine(candidate) for candidate in sorted(candidates, key=lambda candidate: candidate.key)]
    roles: dict[Role, str] = {}
    reasons: dict[Role, str] = {}
    ambiguous: dict[Role, tuple[str, ...]] = {}
    unassigned = {finding.candidate.key: f"It is {finding.what}." for finding in findings if finding.role is None}
    names = {finding.candidate.key: finding.candidate.name for finding in findings}
    for role in ASSIGNED:
        able = [finding for finding in findings if finding.role == role]
        best = [finding for finding in able if finding.rank == max(each.rank for each in able)]
        if len(best) == 1:
            roles[role], reasons[role] = best[0].candidate.key, best[0].what
            others = {finding.candidate.key for finding in able} - {roles[role]}
            unassigned |= dict.fromkeys(others, f"{names[roles[role]]} suits {role} better.")
        elif best:
            ambiguous[role] = tuple(finding.candidate.key for finding in best)
            unassigned |= {finding.candidate.key: f"Several volumes can be {role}." for finding in able}
    return Assignment(roles, reasons, unassigned, ambiguous, _notes(roles, ambiguous, unassigned, findings))


def _examine(candidate: Candidate) -> _Finding:
    """What one candidate is, without regard to the others."""
    reading, source = _read_texts(candidate)
    role = reading.role if reading else None
    if candidate.is_label or role in (Role.ROI, Role.BRAIN):
        return _label_map(candidate, role, source)
    flaw = _flaw(candidate, role)
    if flaw:
        return _Finding(candidate, None, flaw)
    if reading is None:
        return _by_content(candidate)
    if role is None:
        return _Finding(candidate, None, f"{reading.what}, by its {source}")
    rank = preference(f"{candidate.name} {candidate.description}") + (_NATIVE if reading.native else 0)
    if role == Role.T1 and not reading.native and _has_agent(candidate):
        return _Finding(candidate, None, "T1 after contrast agent, by its DICOM attributes")
    return _Finding(candidate, role, f"Found by its {source}.", rank)


def _flaw(candidate: Candidate, role: Role | None) -> str:
    """What its content says against it; "" where nothing does."""
    why = "" if candidate.sample is None else why_no_image(candidate.sample)
    if why:
        return f"no image: it {why}"
    if candidate.frames > 1 and role not in _WITH_FRAMES:
        return f"a series of {candidate.frames} volumes, not a single one"
    if role == Role.ADC and candidate.sample is not None and not can_be_adc(candidate.sample):
        return "no ADC map, although its name says so: its values are no diffusion coefficients"
    return ""


def _has_agent(candidate: Candidate) -> bool:
    return candidate.hints.get("ContrastBolusAgent", "").strip().upper() not in _NO_AGENT


def _label_map(candidate: Candidate, role: Role | None, source: str) -> _Finding:
    looks_so = candidate.sample is None or "label map" in why_no_image(candidate.sample)
    if role == Role.ROI and (candidate.is_label or looks_so):
        return _Finding(candidate, role, f"Found by its {source}.")
    return _Finding(candidate, None, "a brain mask" if role == Role.BRAIN else "a label map or segmentation")


def _by_content(candidate: Candidate) -> _Finding:
    if candidate.sample is not None and is_adc_in_mm2_per_s(candidate.sample):
        return _Finding(candidate, Role.ADC, "Found by its content: diffusion coefficients in mm²/s.", -10)
    if candidate.sample is not None and is_t2(candidate.sample):
        return _Finding(candidate, Role.T2, "Found by its content: fluid is bright. Check it.", -10)
    return _Finding(candidate, None, "unknown: neither its name nor its content tells what it is")


def _read_texts(candidate: Candidate) -> tuple[Reading | None, str]:
    """What name, series description and image type say together, and which of them says it."""
    read = {
        "name": read_name(candidate.name),
        "series description": read_name(candidate.description),
        "image type": _read_image_type(candidate.hints.get("ImageType", "")),
    }
    found = {source: reading for source, reading in read.items() if reading is not None}
    if not found:
        return None, ""
    roles = {reading.role: source for source, reading in reversed(found.items()) if reading.role is not None}
    if len(roles) > 1:
        words = " and ".join(sorted(f"{role} by its {source}" for role, source in roles.items()))
        return Reading(None, f"contradictory ({words})"), "names"
    role, source = next(iter(roles.items()), (None, ""))
    for source_against, against in found.items():
        if against.role is None and role not in against.general_for:
            return against, source_against
    native = any(reading.native for reading in found.values())
    return replace(found[source], native=native), source


def _read_image_type(text: str) -> Reading | None:
    r"""What DICOM's ImageType says of diffusion and perfusion maps, e.g. "DERIVED\PRIMARY\DIFFUSION\ADC"."""
    words = set(text.upper().replace("/", "\\").replace(",", "\\").split("\\"))
    if "ADC" in words:
        return Reading(Role.ADC, "an ADC map")
    if words & {"EADC", "EXP_ADC", "TRACEW", "TRACE", "FA", "TENSOR"}:
        return Reading(None, "a diffusion image that is no ADC map")
    if words & {"CBV", "RCBV", "RELCBV"}:
        return Reading(Role.CBV_ACQUIRED, "a CBV map")
    if "ASL" in words:
        return Reading(Role.ASL, "an ASL image")
    return None


def _notes(
    roles: Mapping[Role, str],
    ambiguous: Mapping[Role, tuple[str, ...]],
    unassigned: Mapping[str, str],
    findings: Iterable[_Finding],
) -> list[str]:
    """What to tell the user: where to choose, and why a sequence has no volume although one comes close to it."""
    known = {finding.candidate.key: finding for finding in findings}
    notes = []
    for role, keys in ambiguous.items():
        listed = ", ".join(known[key].candidate.name for key in keys)
        notes.append(f"{role}: several volumes can be it ({listed}). Choose one.")
    for role in SEQUENCES:
        if role in roles or role in ambiguous:
            continue
        near = [key for key in unassigned if str(role) in known[key].what.split()]
        listed = "; ".join(f"{known[key].candidate.name} is {known[key].what}" for key in near)
        notes.append(f"{role}: none found{f' ({listed})' if listed else ''}.")
    return notes

"""fidelity.json: a measurement with everything that says how it came about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from HierSynthLib import __version__
from HierSynthLib.fidelity.regions.audit import Audit
from HierSynthLib.fidelity.regions.shapes import Region, Sphere
from HierSynthLib.fidelity.report.alignment import Placement
from HierSynthLib.fidelity.report.subject import ACQUIRED, WHOLE_LESION, Subject
from HierSynthLib.synthesis.provenance import hash_input

STATEMENT = "SYNTHETIC map for research only; not cleared for clinical use."
SIMULATED_STATEMENT = (
    "SIMULATED patient: a score on simulated brains is no evidence of clinical fidelity; "
    "it shows that the calculation works."
)

Record = dict[str, Any]


def make_record(
    subject: Subject,
    *,
    measurement: Mapping[str, Any],
    placements: Sequence[Placement],
    hotspots: Mapping[str, Sequence[Region]],
    reference: Region | None,
    warnings: Iterable[str],
) -> Record:
    """The contents of fidelity.json.

    Args:
        subject: the patient.
        measurement: as the job "measure" wrote it.
        placements: how each volume was brought to the synthetic map.
        hotspots: suggested hotspots by the map on which they were found.
        reference: the NAWM that was used, or None.
        warnings: sentences of all steps; repeated ones are told once.
    """
    means = {(entry["region"], entry["map"]): entry["values"].get("mean") for entry in measurement["intensity"]}
    hashes = _hashes(subject)
    return {
        "statement": STATEMENT,
        "synthetic": True,
        "simulated": subject.simulated,
        "simulated_statement": SIMULATED_STATEMENT if subject.simulated else "",
        "case": subject.case.id,
        "grade": grade_of(subject),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "hiersynth": __version__,
        "alignment": [placement.to_json() for placement in placements],
        "hotspots": [
            {
                "region": region.name,
                "found_on": name,
                "centre_ras_mm": [round(float(value), 2) for value in ball.centre],
                "radius_mm": ball.radius_mm,
                "means": {map_["name"]: means.get((region.name, map_["name"])) for map_ in measurement["maps"]},
            }
            for name, found in hotspots.items()
            for region in found
            for ball in _balls(region)
        ],
        "reference_spheres": [
            {"centre_ras_mm": [round(float(value), 2) for value in ball.centre], "radius_mm": ball.radius_mm}
            for ball in (_balls(reference) if reference else [])
        ],
        "audit": _audit(hotspots, reference, means).to_json(),
        "provenance": {each.name: dict(each.run) for each in subject.synthetic if each.run},
        "files": hashes,
        "warnings": _unexpected([*_origins(subject, hashes), *subject.warnings, *warnings]),
        "measurement": dict(measurement),
    }


def grade_of(subject: Subject) -> str | None:
    """The grade that a simulated patient's record states."""
    grade = subject.case.facts.get("grade")
    return grade if isinstance(grade, str) else None


def primary_region(measurement: Mapping[str, Any]) -> str | None:
    """The region that a summary is about: the whole lesion, else the largest lesion region, else the whole brain."""
    lesions = [region for region in measurement["regions"] if region["role"] == "lesion" and region["voxels"]]
    whole = next((region["name"] for region in lesions if region["name"] == WHOLE_LESION), None)
    if whole or lesions:
        return str(whole or max(lesions, key=lambda region: region["voxels"])["name"])
    return next((str(region["name"]) for region in measurement["regions"] if region["role"] == "brain"), None)


def main_sentences(measurement: Mapping[str, Any]) -> list[str]:
    """What the measurement says in words about its primary region, one sentence per pair with the acquired map."""
    region = primary_region(measurement)
    found = [word for word in measurement["words"] if word["region"] == region]
    acquired = [word for word in found if word["acquired"] == ACQUIRED] or found
    return [f"{word['region']}: {word['text']}" for word in acquired]


def statement_line(record: Mapping[str, Any]) -> str:
    """What is said of a record, or of a cohort, as one line."""
    return " ".join(filter(None, [record["statement"], record["simulated_statement"]]))


def normalisation_offers(measurement: Mapping[str, Any]) -> list[str]:
    """A sentence where the acquired map's NAWM mean is doubtful and was left as it is."""
    fields = measurement.get("normalisation", {}).get(ACQUIRED)
    if not fields or not fields["doubtful"] or fields["applied"]:
        return []
    return ["The option --normalise-acquired divides the acquired map by its mean in the NAWM reference."]


def _origins(subject: Subject, hashes: Mapping[str, str]) -> list[str]:
    """A warning for each map that was made from other files than those of the case."""
    found = []
    for each in subject.synthetic:
        inputs = (each.run or {}).get("inputs")
        made_from = {} if not isinstance(inputs, Mapping) else inputs
        common = [role for role in map(str, subject.others) if isinstance(made_from.get(role), Mapping)]
        if common and not any(made_from[role].get("sha256") == hashes[role] for role in common):
            found.append(
                f"The map '{each.name}' was made from other files than those of the case '{subject.case.id}'. "
                "Check that both are the same patient."
            )
    return found


def _unexpected(warnings: Iterable[str]) -> list[str]:
    """Each warning once, without those on overlaps that are meant: of the whole with its parts, of suggestions."""
    meant = (f"The regions {WHOLE_LESION} and ", "Hotspots overlap")
    return [warning for warning in dict.fromkeys(warnings) if not warning.startswith(meant)]


def _balls(region: Region) -> list[Sphere]:
    return [shape for shape in region.shapes if isinstance(shape, Sphere)]


def _audit(
    hotspots: Mapping[str, Sequence[Region]],
    reference: Region | None,
    means: Mapping[tuple[str, str], float | None],
) -> Audit:
    audit = Audit()
    if reference is not None:
        audit.record("reference chosen", reference.name, note=reference.source)
        for ball in _balls(reference):
            audit.record("suggested", reference.name, to_ras=ball.centre.tolist(), size_after_mm=2 * ball.radius_mm)
    for name, found in hotspots.items():
        for region in found:
            for ball in _balls(region):
                audit.record(
                    "suggested",
                    region.name,
                    to_ras=ball.centre.tolist(),
                    size_after_mm=2 * ball.radius_mm,
                    map_name=name,
                    mean_after=means.get((region.name, name)),
                    note=region.source,
                )
    return audit


def _hashes(subject: Subject) -> dict[str, str]:
    """SHA-256 of every file that was measured: names and paths may hold a patient's name."""
    files = {each.name: each.path for each in subject.synthetic}
    files |= subject.acquired | {str(role): path for role, path in subject.others.items()}
    if subject.roi is not None:
        files["label map"] = subject.roi
    if subject.brain is not None:
        files["brain mask"] = subject.brain
    return {name: hash_input(path) for name, path in files.items()}

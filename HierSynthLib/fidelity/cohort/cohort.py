"""Statistics over the patients of a cohort; the patient is the unit, with one value per region and map."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.cohort import grading, statistics
from HierSynthLib.fidelity.report.record import primary_region
from HierSynthLib.fidelity.report.subject import WHOLE_LESION

FIDELITY = (
    "ssim", "ssim_box", "psnr", "mae", "mse", "nrmse", "bias", "pearson_r", "ccc", "histogram_distance",
    "hotspot_dice", "hotspot_hd95_mm", "uncertainty_error_r",
)  # fmt: skip
"""Measures of a pair that are averaged over patients."""

INTENSITIES = ("mean", "median", "p95", "hotspot_mean", "cv", "entropy")
"""Measures of a map that are averaged over patients."""

QUANTITIES = ("mean", "p95", "hotspot_mean")
"""Values of a map whose agreement between maps is examined across patients, and which grade."""

COMPARED = ("ssim", "mae", "ccc", "histogram_distance", "hotspot_dice")
"""Measures of a pair in which synthetic maps are compared with each other."""

_HIGH, _LOW = {"high", "hgg", "3", "4", "iii", "iv"}, {"low", "lgg", "1", "2", "i", "ii"}

Key = tuple[str, str, str]


class Values:
    """One value per patient, by region, map or pair, and measure."""

    def __init__(self, measurements: Sequence[Mapping[str, Any]]) -> None:
        """Collect from measurements, one per patient."""
        self._found: dict[tuple[Key, str], list[float | None]] = {}
        self._patients = len(measurements)
        self.regions: list[str] = []
        self.maps: dict[str, str] = {}
        for number, measurement in enumerate(measurements):
            self._add(number, measurement)

    def of(self, region: str, measure: str, first: str, second: str = "") -> list[float | None]:
        """The patients' values of a map, or of a synthetic and an acquired map, in a region; None where missing."""
        return self._found.get(((region, first, second), measure), [None] * self._patients)

    def named(self, kind: str) -> list[str]:
        """The maps of a kind, in the order of their first appearance."""
        return [name for name, own in self.maps.items() if own == kind]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Synthetic and acquired maps, each with each."""
        return [(one, other) for one in self.named("synthetic") for other in self.named("acquired")]

    def _add(self, number: int, measurement: Mapping[str, Any]) -> None:
        for each in measurement["maps"]:
            self.maps.setdefault(each["name"], each["kind"])
        names = cohort_regions(measurement)
        for entry in (*measurement["intensity"], *measurement["agreement"]):
            first, second = entry.get("map") or entry["synthetic"], entry.get("acquired", "")
            for region in names.get(entry["region"], ()):
                if region not in self.regions:
                    self.regions.append(region)
                for measure, value in entry["values"].items():
                    row = self._found.setdefault(((region, first, second), measure), [None] * self._patients)
                    row[number] = value


def cohort_regions(measurement: Mapping[str, Any]) -> dict[str, list[str]]:
    """Under which names a patient's regions stand in the cohort.

    The primary region is "Whole lesion" in every patient, also where a single label is the whole lesion. Hotspots and
    the reference differ from patient to patient and are left out.
    """
    first = primary_region(measurement)
    found: dict[str, list[str]] = {}
    for region in measurement["regions"]:
        if region["role"] in ("lesion", "brain"):
            whole = [WHOLE_LESION] if region["name"] == first and region["role"] == "lesion" else []
            found[region["name"]] = list(dict.fromkeys([*whole, region["name"]]))
    return found


def summarise(
    records: Sequence[Mapping[str, Any]], grades: Mapping[str, str], excluded: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """The contents of cohort.json, apart from the provenance.

    Args:
        records: contents of fidelity.json, one per patient; at least one, all with the same settings.
        grades: grade of patients by their identifier; the others have that of their record.
        excluded: "id" and "reason" of patients that could not be measured.
    """
    measurements = [record["measurement"] for record in records]
    values = Values(measurements)
    patients = [
        {
            "id": record["case"],
            "simulated": record["simulated"],
            "grade": high_or_low(grades.get(record["case"]) or record.get("grade")),
        }
        for record in records
    ]
    threshold = float(measurements[0]["settings"]["hotspot_threshold"])
    return {
        "patients": patients,
        "excluded": list(excluded),
        "settings": measurements[0]["settings"],
        "maps": [{"name": name, "kind": kind} for name, kind in values.maps.items()],
        "fidelity": list(_fidelity(values)),
        "intensity": list(_intensity(values)),
        "agreement": list(_agreement(values)),
        "tests": _tests(values),
        "grading": _grading(values, [patient["grade"] for patient in patients]),
        "threshold": list(_threshold(values, threshold)),
        "warnings": _warnings(records, patients, grades),
    }


def high_or_low(grade: str | None) -> str | None:
    """A grade in words or numbers as "high" (WHO 3 and 4) or "low" (1 and 2); None for anything else."""
    word = (grade or "").strip().lower().removeprefix("who").strip().removeprefix("grade").strip()
    return "high" if word in _HIGH else "low" if word in _LOW else None


def read_grades(path: Path) -> dict[str, str]:
    """Grades by patient from a CSV file with the columns id and grade.

    Raises:
        InputError: it cannot be read, a column is missing, a patient stands there twice, or a grade is not known.
    """
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--grades {path} cannot be read ({error}).", "Give a CSV file in UTF-8.") from error
    table = csv.DictReader(lines)
    if not {"id", "grade"} <= set(table.fieldnames or ()):
        raise InputError(f"--grades {path} lacks the columns id and grade.", "Its first line should be: id,grade")
    grades: dict[str, str] = {}
    for row in table:
        identifier, grade = (row["id"] or "").strip(), (row["grade"] or "").strip()
        if identifier in grades:
            raise InputError(f"--grades {path}: {identifier!r} stands there twice.", "Keep one line per patient.")
        if high_or_low(grade) is None:
            what = f"--grades {path}, line {table.line_num}: the grade {grade!r} is not known."
            raise InputError(what, "Use high or low, or the WHO grades 1 to 4.")
        grades[identifier] = grade
    return grades


def _fidelity(values: Values) -> Iterator[dict[str, Any]]:
    for synthetic, acquired in values.pairs:
        for region in values.regions:
            for measure in FIDELITY:
                column = values.of(region, measure, synthetic, acquired)
                if statistics.finite(column).size:
                    where = {"region": region, "synthetic": synthetic, "acquired": acquired, "measure": measure}
                    yield where | _mean(column)


def _intensity(values: Values) -> Iterator[dict[str, Any]]:
    for name in (*values.named("synthetic"), *values.named("acquired")):
        for region in values.regions:
            for measure in INTENSITIES:
                column = values.of(region, measure, name)
                if statistics.finite(column).size:
                    yield {"region": region, "map": name, "measure": measure} | _mean(column)


def _mean(column: Sequence[float | None]) -> dict[str, Any]:
    return {"mean": statistics.mean_interval(column).to_json(), "sd": statistics.standard_deviation(column)}


def _agreement(values: Values) -> Iterator[dict[str, Any]]:
    for synthetic, acquired in values.pairs:
        for region in values.regions:
            for measure in QUANTITIES:
                one, other = values.of(region, measure, synthetic), values.of(region, measure, acquired)
                if not statistics.paired(one, other)[0].size:
                    continue
                yield {
                    "region": region,
                    "synthetic": synthetic,
                    "acquired": acquired,
                    "measure": measure,
                    "icc": statistics.intraclass_correlation(one, other).to_json(),
                    "bland_altman": statistics.limits_of_agreement(one, other).to_json(),
                    "ccc": statistics.concordance(one, other).to_json(),
                    "pearson": statistics.correlation(one, other).to_json(),
                    "synthetic_values": one,
                    "acquired_values": other,
                }


def _tests(values: Values) -> list[dict[str, Any]]:
    """Wilcoxon tests between maps in the whole lesion (else the brain), Holm-adjusted over all of them."""
    found = []
    regions = [region for region in values.regions if region == WHOLE_LESION] or values.regions[:1]
    for region in regions:
        for synthetic, acquired in values.pairs:
            for measure in QUANTITIES:
                test = statistics.signed_rank(
                    values.of(region, measure, synthetic), values.of(region, measure, acquired)
                )
                found.append((region, measure, synthetic, acquired, "", test))
        for acquired in values.named("acquired"):
            for one, other in combinations(values.named("synthetic"), 2):
                for measure in COMPARED:
                    test = statistics.signed_rank(
                        values.of(region, measure, one, acquired), values.of(region, measure, other, acquired)
                    )
                    found.append((region, measure, one, other, acquired, test))
    known = [test.p for *_, test in found if test.p is not None]
    adjusted = iter(statistics.holm(known))
    return [
        {"region": region, "measure": measure, "first": first, "second": second, "against": against}
        | test.to_json()
        | {"p_holm": next(adjusted) if test.p is not None else None, "tests": len(known)}
        for region, measure, first, second, against, test in found
    ]


def _grading(values: Values, grades: Sequence[str | None]) -> dict[str, Any] | None:
    """How well the maps tell high-grade from low-grade lesions; None where no patient has a grade."""
    graded = [number for number, grade in enumerate(grades) if grade]
    if not graded:
        return None
    high = [grades[number] == "high" for number in graded]
    curves, tests = [], []
    for measure in QUANTITIES:

        def column(name: str, measure: str = measure) -> list[float | None]:
            every = values.of(WHOLE_LESION, measure, name)
            return [every[number] for number in graded]

        for name in (*values.named("synthetic"), *values.named("acquired")):
            curves.append({"measure": measure, "map": name} | grading.roc(column(name), high).to_json())
        for synthetic, acquired in values.pairs:
            test = grading.compare_auc(column(synthetic), column(acquired), high)
            tests.append({"measure": measure, "synthetic": synthetic, "acquired": acquired} | test.to_json())
    return {"region": WHOLE_LESION, "curves": curves, "tests": tests}


def _threshold(values: Values, threshold: float) -> Iterator[dict[str, Any]]:
    for synthetic, acquired in values.pairs:
        one, other = (values.of(WHOLE_LESION, "hotspot_mean", name) for name in (synthetic, acquired))
        found = grading.threshold_agreement(one, other, threshold)
        where = {"region": WHOLE_LESION, "measure": "hotspot_mean", "threshold": threshold}
        yield where | {"synthetic": synthetic, "acquired": acquired} | found.to_json()


def _warnings(
    records: Sequence[Mapping[str, Any]], patients: Sequence[Mapping[str, Any]], grades: Mapping[str, str]
) -> list[str]:
    found = []
    simulated = sum(1 for patient in patients if patient["simulated"])
    if 0 < simulated < len(patients):
        found.append(
            f"{simulated} of {len(patients)} patients are simulated. Numbers over simulated and real patients "
            "together describe neither; measure them apart."
        )
    unknown = len(set(grades) - {patient["id"] for patient in patients})
    if unknown:  # what stands there instead of an identifier may be a patient's name
        whom = "1 patient that was" if unknown == 1 else f"{unknown} patients that were"
        found.append(f"The grades name {whom} not measured.")
    told: dict[str, list[str]] = {}
    for record in records:
        for warning in record["warnings"]:
            told.setdefault(warning, []).append(record["case"])
    for warning, cases in told.items():
        whom = f"{len(cases)} patients" if len(cases) > 3 else ", ".join(cases)
        found.append(f"{warning} ({whom})")
    return found

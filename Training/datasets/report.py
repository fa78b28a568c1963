"""The data report: what a training would be trained on, before it begins."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from HierSynthLib.case import SEQUENCES
from HierSynthLib.errors import InputError
from HierSynthLib.files import write_text_atomically
from HierSynthLib.progress import Reporter
from Training.datasets.cache import cache_key
from Training.datasets.cohort import Cohort, Exclusion, Subject
from Training.datasets.examination import SubjectFacts, examine_all
from Training.datasets.loading import check_targets, find_cohort, same_content
from Training.datasets.settings import SPLITS

if TYPE_CHECKING:
    from Training.config import TrainingConfig

_SHOWN = 20
_VALUE_NAMES = ("p1", "median", "p99")


@dataclass(frozen=True)
class Row:
    """One examination that is used, in which split, and what its files hold."""

    subject: Subject
    split: str
    facts: SubjectFacts


@dataclass(frozen=True)
class DataReport:
    """What a training would be trained on.

    Attributes:
        cohort: the data set.
        rows: the examinations that would be used.
        excluded: those that would not, and why.
        warnings: sentences.
        errors: sentences on what stops a training.
        spacing_mm: of the working grid.
    """

    cohort: Cohort
    rows: tuple[Row, ...]
    excluded: tuple[Exclusion, ...]
    warnings: tuple[str, ...]
    errors: tuple[str, ...]
    spacing_mm: tuple[float, ...]

    def text(self) -> str:
        """For people, about a page."""
        rows, kind = self.rows, "simulated" if self.cohort.simulated else "read from files"
        lines = [
            f"Data set {self.cohort.name}: {len(rows)} examinations of {_patients(rows)} patients, {kind}.",
            *self.cohort.notes,
            "",
            f"{'split':12} {'patients':>8} {'examinations':>12}  groups",
        ]
        for split in SPLITS:
            own = [row for row in rows if row.split == split]
            groups = _counted(row.subject.group or "unknown" for row in own)
            lines.append(f"{split:12} {_patients(own):8d} {len(own):12d}  {groups}")
        lines += ["", f"Target: {_counted(row.subject.target.words or row.subject.target.rule for row in rows)}"]
        lines += [f"Sites: {_counted(row.subject.site or 'unknown' for row in rows)}"]
        lines += self._volumes()
        missing = _counted(remark for row in rows for remark in row.subject.absent)
        lines += [f"Absent: {missing}"] if missing else []
        lines += _section("Remarks", _alike((row.subject.id, remark) for row in rows for remark in row.facts.remarks))
        lines += _section("Left out", [f"{one.subject}: {one.reason}" for one in self.excluded])
        lines += _section("Warnings", self.warnings)
        lines += _section("ERRORS, which stop a training", self.errors, len(self.errors))
        return "\n".join(lines) + "\n"

    def _volumes(self) -> list[str]:
        """Grids, and per kind of volume the range of its values over the examinations."""
        working = " × ".join(f"{edge:g}" for edge in self.spacing_mm)
        if self.cohort.simulated and not any(row.facts.volumes for row in self.rows):
            return [f"Grid: simulated and trained at {working} mm."]
        grids = Counter(_grid(row.facts) for row in self.rows)
        lines = [f"Working grid: {working} mm, to which everything is resampled. Grids of the reference volumes:"]
        lines += [f"  {number} × {grid}" for grid, number in grids.most_common(_SHOWN)]
        lines += ["", f"{'volume':14} {'number':>6}  {'units':14} lowest p1 … median (range) … highest p99"]
        for role in dict.fromkeys(role for row in self.rows for role in row.facts.volumes):
            found = [row.facts.volumes[role] for row in self.rows if role in row.facts.volumes]
            units = _counted(one.units or "arbitrary" for one in found)
            low, middle, high = zip(*(one.values for one in found), strict=True)
            lines.append(
                f"{role:14} {len(found):6d}  {units:14} {min(low):g} … "
                f"{min(middle):g} to {max(middle):g} … {max(high):g}"
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "cohort": self.cohort.name,
            "simulated": self.cohort.simulated,
            "notes": list(self.cohort.notes),
            "spacing_mm": list(self.spacing_mm),
            "patients": {s: _patients([r for r in self.rows if r.split == s]) for s in SPLITS},
            "examinations": [_flat(row) for row in self.rows],
            "excluded": [{"examination": one.subject, "reason": one.reason} for one in self.excluded],
            "warnings": list(self.warnings),
            "errors": list(self.errors),
        }

    def to_csv(self) -> str:
        """One line for each examination, those left out as well."""
        table = [_flat(row) for row in self.rows]
        table += [{"examination": one.subject, "split": "", "left out": one.reason} for one in self.excluded]
        names = list(dict.fromkeys(name for line in table for name in line))
        stream = io.StringIO()
        writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
        return stream.getvalue()

    def write(self, folder: Path, *, overwrite: bool = True) -> None:
        """Write data.txt, data.json and data.csv.

        Raises:
            OutputError: one of them cannot be written.
        """
        texts = {"data.txt": self.text(), "data.csv": self.to_csv()}
        texts["data.json"] = json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n"
        for name, text in texts.items():
            write_text_atomically(folder / name, text, overwrite=overwrite)


def report_data(
    config: TrainingConfig,
    cache: Path,
    workers: int = 2,
    *,
    reporter: Reporter | None = None,
    splits: Path | None = None,
) -> DataReport:
    """Look at all volumes of the cohort that the settings name; nothing is prepared.

    Args:
        config: the settings of the training.
        cache: its folder of prepared patients, where what was found is kept, too.
        workers: processes that read.
        reporter: told about progress.
        splits: a copy of the division, see `find_cohort`.

    Raises:
        InputError: the data set is not there or empty, its maps cannot be mixed, or the stored division does not fit.
        OutputError: the division or a description cannot be written.
        Cancelled: the reporter said so.
    """
    cohort, division = find_cohort(config, cache, splits=splits, targets=False)
    used = [subject for subject in cohort.subjects if subject.patient in division.of]
    if cohort.name == "phantoms":
        facts = [SubjectFacts() for _ in used]
    else:
        files = [cache / "examined" / f"{cache_key(subject, config)}.json" for subject in used]
        facts = examine_all(used, config.data, files, workers, reporter)
    rows = [Row(s, division.of[s.patient], f) for s, f in zip(used, facts, strict=True) if not f.reason]
    failed = [Exclusion(s.id, f.reason) for s, f in zip(used, facts, strict=True) if f.reason]
    doubles, clashes = same_content([(r.subject.id, r.subject.patient, r.facts.content) for r in rows], division.of)
    errors = [*clashes, *_unusable(cohort, rows)]
    warnings = (*division.warnings, *cohort.gaps(), *doubles)
    return DataReport(
        cohort, tuple(rows), (*cohort.excluded, *failed), warnings, tuple(errors), tuple(config.spacing_mm)
    )


def _unusable(cohort: Cohort, rows: list[Row]) -> list[str]:
    errors = []
    try:
        check_targets(cohort)
    except InputError as error:
        errors.append(str(error))
    if not any(row.split == "train" for row in rows):
        errors.append("No patient is left to train on.")
    return errors


def _flat(row: Row) -> dict[str, Any]:
    subject, facts = row.subject, row.facts
    line: dict[str, Any] = {
        "examination": subject.id,
        "patient": subject.patient,
        "split": row.split,
        "group": subject.group,
        "site": subject.site,
        "target": subject.target.rule,
        "grid": _grid(facts),
    }
    for role, volume in facts.volumes.items():
        line |= {f"{role} {name}": value for name, value in zip(_VALUE_NAMES, volume.values, strict=True)}
        line[f"{role} units"] = volume.units
    return line | {"remarks": " ".join((*subject.absent, *facts.remarks)), "left out": ""}


def _grid(facts: SubjectFacts) -> str:
    role = next((str(role) for role in SEQUENCES if str(role) in facts.volumes), None)
    if role is None:
        return ""
    volume = facts.volumes[role]
    edges = " × ".join(f"{edge:g}" for edge in volume.spacing_mm)
    return f"{' × '.join(map(str, volume.grid))} ({role}, {edges} mm)"


def _patients(rows: Iterable[Row]) -> int:
    return len({row.subject.patient for row in rows})


def _counted(words: Iterable[str]) -> str:
    return ", ".join(f"{word} {number}" for word, number in sorted(Counter(words).items()))


def _alike(remarks: Iterable[tuple[str, str]]) -> list[str]:
    """Remarks that differ in their numbers only are said once."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, remark in remarks:
        groups.setdefault(re.sub(r"\d+", "", remark), []).append((name, remark))
    return [
        f"{len(group)} × {group[0][1]} ({group[0][0]}{', …' if len(group) > 1 else ''})" for group in groups.values()
    ]


def _section(title: str, lines: Iterable[str], shown: int = _SHOWN) -> list[str]:
    entries = list(lines)
    rest = [f"  … and {len(entries) - shown} more, see data.csv"] if len(entries) > shown else []
    return ["", f"{title} ({len(entries)}):", *(f"  {entry}" for entry in entries[:shown]), *rest] if entries else []

"""The evaluation itself: every patient once, every model on it, one row after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from HierSynthLib.errors import HierSynthError, InputError, OutputError
from HierSynthLib.progress import Part, Reporter
from HierSynthLib.synthesis.slices import occupied_slices
from Training.evaluation.cases import CaseSource
from Training.evaluation.descriptors import Describe, describe
from Training.evaluation.measuring import Measurer, case_features
from Training.evaluation.predictor import Method, Predictor
from Training.evaluation.robustness import left_out
from Training.evaluation.settings import EvaluationSettings
from Training.evaluation.store import REFERENCE, Row, Store
from Training.evaluation.subject import Map, Spacing, Subject, make_subject


@dataclass
class Rows:
    """What was found.

    Attributes:
        cases: that were measured, in the order given.
        facts: the row of each case by its identifier: features of the lesion, spectrum's Nyquist frequency.
        rows: by case, method and number of the training.
        less: rows with sequences left out, by case and method (first training).
        pictured: identifiers of the cases with pictures.
        excluded: "id", "model" ("" for all) and "reason" of what could not be measured.
    """

    cases: list[CaseSource] = field(default_factory=list)
    facts: dict[str, Row] = field(default_factory=dict)
    rows: dict[tuple[str, str, int], Row] = field(default_factory=dict)
    less: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    pictured: list[str] = field(default_factory=list)
    excluded: list[dict[str, str]] = field(default_factory=list)


class Evaluation:
    """Measures models in patients and writes a row for each; rows that are there already are not measured again."""

    def __init__(
        self, methods: Sequence[Method], settings: EvaluationSettings, store: Store, describe: Describe = describe
    ) -> None:
        """Prepare.

        Args:
            methods: with different names.
            settings: of the evaluation.
            store: where the rows are.
            describe: gives the descriptors of patches.
        """
        self._methods, self._settings, self._store, self._describe = methods, settings, store, describe

    def run(self, cases: Sequence[CaseSource], reporter: Reporter) -> Rows:
        """Measure all models in all patients.

        A case, or a model in a case, that cannot be measured is told and left out.

        Args:
            cases: with different identifiers.
            reporter: told about the progress.

        Raises:
            InputError: not a single case could be measured.
            OutputError: a row cannot be written.
            Cancelled: from the reporter; what was measured stays.
        """
        found = Rows()
        lesions = 0
        for number, source in enumerate(cases):
            part = Part(reporter, number / len(cases), (number + 1) / len(cases))
            try:
                done = self._case(source, found, lesions, part)
            except OutputError:
                raise
            except HierSynthError as error:
                reason = source.neutral(str(error))
                found.excluded.append({"id": source.id, "model": "", "reason": reason})
                reporter.warning(f"{source.id} is left out: {reason}")
                continue
            lesions += done
        if not found.rows:
            reasons = " ".join(f"{each['id']}: {each['reason']}" for each in found.excluded[:3])
            raise InputError(f"None of {len(cases)} cases could be measured. {reasons}", "Check the cases.")
        return found

    def _case(self, source: CaseSource, found: Rows, lesions: int, reporter: Reporter) -> bool:
        """Measure one case; returns whether it has a lesion."""
        reporter.progress("reading rows", 0.0)
        worker = _CaseWorker(source, spacings_of(self._methods), self._settings, self._store, self._describe, reporter)
        facts = worker.facts()
        has_lesion = bool(facts.curves["facts"]["lesion_voxels"])
        pictured = len(found.pictured) < self._settings.pictures
        kind = self._settings.robustness if has_lesion and lesions < self._settings.robustness_cases else "none"
        rows, less = {}, {}
        steps = [(method, n) for method in self._methods for n in range(len(method.trainings))]
        for number, (method, training) in enumerate(steps):
            worker.part = Part(reporter, 0.3 + 0.7 * number / len(steps), 0.3 + 0.7 * (number + 1) / len(steps))
            try:
                model = method.trainings[training]
                rows[source.id, method.name, training] = worker.row(model, pictured and not training)
                if not training:
                    less[source.id, method.name] = list(worker.less(model, kind))
            except InputError as error:
                reason = source.neutral(str(error))
                found.excluded.append({"id": source.id, "model": method.name, "reason": reason})
                reporter.warning(f"{source.id}, {method.name}: left out: {reason}")
        found.cases.append(source)
        found.facts[source.id] = facts
        found.rows |= rows
        found.less |= less
        if pictured and rows:
            found.pictured.append(source.id)
        return has_lesion


class _CaseWorker:
    """One case, loaded when the first row is missing."""

    def __init__(
        self,
        source: CaseSource,
        spacings: list[Spacing],
        settings: EvaluationSettings,
        store: Store,
        describe: Describe,
        reporter: Reporter,
    ) -> None:
        self._source, self._whole, self.part = source, reporter, reporter
        self._spacings, self._settings, self._store, self._describe = spacings, settings, store, describe
        self._key = source.key()
        self._measurer: Measurer | None = None

    def facts(self) -> Row:
        """What depends on the case alone."""
        known = self._store.find(self._key, REFERENCE)
        if known is not None:
            return known
        subject, measurer = self._ready.subject, self._ready
        facts = {
            "target": subject.target_name,
            "simulated": subject.simulated,
            "grid": list(subject.grid.shape),
            "lesion_voxels": int(np.count_nonzero(subject.roi)),
            "brain_voxels": int(np.count_nonzero(subject.brain)),
            "nyquist_per_mm": measurer.nyquist,
            "warnings": [self._source.neutral(text) for text in subject.warnings],
        }
        row = Row(
            subject.id,
            self._key,
            REFERENCE,
            curves={"facts": facts, "features": case_features(subject, self._settings)},
        )
        self._store.write(row)
        return row

    def row(self, model: Predictor, pictured: bool) -> Row:
        """The row of a model, measured if it is not there."""
        known = self._store.find(self._key, model.key)
        missing = pictured and not self._store.has_picture(self._key, model.key)
        if known is not None and not missing:
            return known
        ready = self._ready
        model.load()
        started = time.perf_counter()
        prediction = ready.subject.predict(model, self.part)
        seconds = time.perf_counter() - started
        if pictured:
            self._draw(model, prediction.synthetic, prediction.uncertainty)
        if known is not None:
            return known
        values, curves = self._ready.measure(prediction)
        subject = self._ready.subject
        slices = len(occupied_slices(subject.prepared[model.spacing_mm].brain))
        row = Row(subject.id, self._key, model.key, (), values, curves, seconds, slices, prediction.device)
        self._store.write(row)
        return row

    def less(self, model: Predictor, kind: str) -> Iterator[Row]:
        """The rows of a model with sequences left out."""
        if kind == "none":
            return
        features = self.facts().curves["features"]
        present = [role for role in model.sequences if str(role) in features]
        for roles in left_out(present, kind):
            without = tuple(map(str, roles))
            known = self._store.find(self._key, model.key, without)
            if known is None:
                prediction = self._ready.subject.predict(model, self.part, frozenset(roles))
                known = Row(self._source.id, self._key, model.key, without, self._ready.similarity(prediction))
                self._store.write(known)
            yield known

    @property
    def _ready(self) -> Measurer:
        """The case, loaded and prepared once."""
        if self._measurer is None:
            part = Part(self._whole, 0.0, 0.3)
            subject = make_subject(self._source, self._spacings, self._settings, part)
            self._measurer = Measurer(subject, self._settings, self._describe)
        return self._measurer

    def _draw(self, model: Predictor, synthetic: Map, uncertainty: Map | None) -> None:
        subject = self._ready.subject
        k = shown_slice(subject)
        if not self._store.has_picture(self._key, REFERENCE):
            arrays = {name: getattr(subject, name)[:, :, k] for name in ("target", "brain", "roi", "anatomy")}
            self._store.write_picture(self._key, REFERENCE, spacing=subject.grid.spacing, **arrays)
        arrays = {"synthetic": synthetic[:, :, k] * subject.brain[:, :, k]}
        if uncertainty is not None:
            arrays["uncertainty"] = uncertainty[:, :, k] * subject.brain[:, :, k]
        self._store.write_picture(self._key, model.key, **arrays)


def shown_slice(subject: Subject) -> int:
    """The axial slice with most lesion, else with most brain."""
    mask = subject.roi if subject.roi.any() else subject.brain
    return int(np.argmax(mask.sum(axis=(0, 1))))


def spacings_of(methods: Sequence[Method]) -> list[Spacing]:
    """Voxel sizes of the models, each once."""
    return list(dict.fromkeys(model.spacing_mm for method in methods for model in method.trainings))

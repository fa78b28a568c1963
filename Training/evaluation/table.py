"""The values of an evaluation as arrays: patients × trainings for every method and column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.cohort import statistics
from HierSynthLib.fidelity.cohort.statistics import CONFIDENCE, FEWEST_FOR_BOOTSTRAP, RESAMPLES, Estimate
from Training.evaluation.definitions import Column
from Training.evaluation.predictor import Method
from Training.evaluation.run import Rows

Values = NDArray[np.float64]

# The same values give the same interval.
_SEED = 20266


class Table:
    """One value per patient and training; NaN where there is none.

    An examination counts for a method if all its trainings have a value there; a patient's value is the mean over his
    or her examinations that count.
    """

    def __init__(self, rows: Rows, methods: Sequence[Method]) -> None:
        """Collect.

        Args:
            rows: that were measured.
            methods: in the order of tables.
        """
        self._cases = [case.id for case in rows.cases]
        of = [case.patient for case in rows.cases]
        self.patients = list(dict.fromkeys(of))
        self._members = [[n for n, name in enumerate(of) if name == patient] for patient in self.patients]
        self.methods = {method.name: len(method.trainings) for method in methods}
        self._rows = rows.rows

    def of(self, method: str, column: str) -> Values:
        """(patients, trainings)."""
        return self._within(self.examinations(method, column))

    def by_patient(self, method: str, column: str) -> Values:
        """(patients,) mean over the trainings."""
        return np.asarray(self.of(method, column).mean(axis=1))

    def paired(self, method: str, reference: str, column: str) -> tuple[Values, Values]:
        """(patients, trainings) of two methods, over the examinations that count for both."""
        return self._paired(self.examinations(method, column), self.examinations(reference, column))

    def paired_losses(self, method: str, reference: str, column: Column) -> tuple[Values, Values]:
        """(patients,) of two methods: `Column.loss` of every examination and training, then averaged."""
        one, other = (_lossy(self.examinations(name, column.id), column) for name in (method, reference))
        first, second = self._paired(one, other)
        return first.mean(axis=1), second.mean(axis=1)

    def examinations(self, method: str, column: str) -> Values:
        """(examinations, trainings); NaN in all trainings of an examination that one of them lacks."""
        trainings = range(self.methods[method])
        cells = [[self._value(case, method, training, column) for training in trainings] for case in self._cases]
        found = np.array(cells, dtype=np.float64).reshape(len(self._cases), self.methods[method])
        found[np.isnan(found).any(axis=1)] = np.nan
        return found

    def curves(self, method: str, name: str, region: str) -> Values | None:
        """(patients, points) mean over examinations and trainings of a curve; None where nobody has it."""
        found = []
        for members in self._members:
            own = [self._curve(self._cases[n], method, name, region) for n in members]
            known = [curve for curve in own if curve is not None]
            if known:
                found.append(np.mean(known, axis=0))
        return np.stack(found) if found else None

    def _curve(self, case: str, method: str, name: str, region: str) -> Values | None:
        rows = [self._rows.get((case, method, n)) for n in range(self.methods[method])]
        own = [None if row is None else row.curves.get(name, {}).get(region) for row in rows]
        if any(curve is None for curve in own):
            return None
        return np.asarray(np.array(own, dtype=np.float64).mean(axis=0))

    def _paired(self, one: Values, other: Values) -> tuple[Values, Values]:
        both = np.isfinite(one).all(axis=1, keepdims=True) & np.isfinite(other).all(axis=1, keepdims=True)
        return self._within(np.where(both, one, np.nan)), self._within(np.where(both, other, np.nan))

    def _within(self, values: Values) -> Values:
        """(examinations, trainings) → (patients, trainings): mean over the examinations that count."""
        found = np.full((len(self.patients), values.shape[1]), np.nan)
        for number, members in enumerate(self._members):
            own = values[members]
            known = own[np.isfinite(own).all(axis=1)]
            if len(known):
                found[number] = known.mean(axis=0)
        return found

    def _value(self, case: str, method: str, training: int, column: str) -> float:
        row = self._rows.get((case, method, training))
        value = None if row is None else row.values.get(column)
        return np.nan if value is None else float(value)


def _lossy(values: Values, column: Column) -> Values:
    turned = [[column.loss(v) if np.isfinite(v) else np.nan for v in row] for row in values]
    return np.array(turned, dtype=np.float64).reshape(values.shape)


def mean_entry(table: Table, method: str, column: Column) -> dict[str, Any]:
    """Mean over patients of a method's column, with interval, and how far the trainings lie apart."""
    values = table.of(method, column.id)
    known = values[np.isfinite(values).all(axis=1)]
    seeds: list[float] = known.mean(axis=0).tolist() if len(known) else []
    spread = float(np.std(seeds, ddof=1)) if len(seeds) > 1 else None
    by_patient = table.by_patient(method, column.id)
    return {
        "method": method,
        "column": column.id,
        "mean": statistics.mean_interval(by_patient).to_json(),
        "sd": statistics.standard_deviation(by_patient),
        "trainings": values.shape[1],
        "seeds": seeds,
        "seed_sd": spread,
    }


def difference_entry(table: Table, method: str, reference: str, column: Column) -> dict[str, Any]:
    """Paired difference method − reference of a column, patient by patient, with the signed-rank test.

    Examinations and trainings are averaged before the patients are compared. The test is of the losses (see
    `Column.loss`), so that for a column with a right value it asks which method is nearer to it; "better" tells how
    many patients were.
    """
    one, other = table.paired(method, reference, column.id)
    losses = table.paired_losses(method, reference, column)
    test = statistics.signed_rank(losses[1], losses[0])
    both = np.isfinite(losses[0]) & np.isfinite(losses[1])
    return {
        "method": method,
        "reference": reference,
        "column": column.id,
        "difference": statistics.mean_interval(one.mean(axis=1) - other.mean(axis=1)).to_json(),
        "with_seeds": crossed_interval(one, other).to_json(),
        "better": int((losses[0] < losses[1])[both].sum()),
        "test": test.to_json(),
    }


def crossed_interval(first: Values, second: Values) -> Estimate:
    """Interval of the mean difference when patients and trainings are both drawn anew (percentiles, 9999 draws).

    Patients and trainings are crossed: every training meets the same patients. With three trainings or so the interval
    is still too narrow (Owen & Eckles, Ann Appl Stat 2012;6:895), but wider than one that takes them as fixed.

    Args:
        first: (patients, trainings) of a method.
        second: (patients, trainings) of the reference.
    """
    return _drawn(first, second, lambda one, other: one - other)


def ratio_interval(first: Values, second: Values) -> Estimate:
    """Mean of a method over mean of the reference; bootstrap over patients, trainings fixed (percentiles).

    Args:
        first: (patients, trainings) of the method.
        second: (patients, trainings) of the reference, above 0.
    """
    return _drawn(first.mean(axis=1, keepdims=True), second.mean(axis=1, keepdims=True), np.divide, trainings=1)


def crossed_ratio(first: Values, second: Values) -> Estimate:
    """As `ratio_interval`, with patients and trainings both drawn anew; see `crossed_interval`."""
    return _drawn(first, second, np.divide)


def wider(first: Estimate, second: Estimate) -> Estimate:
    """Of two estimates of one value the one with the wider interval; one without an interval does not count."""
    known = [each for each in (first, second) if each.low is not None and each.high is not None]
    return max(known, key=lambda each: float(each.high or 0) - float(each.low or 0)) if known else first


def _drawn(first: Values, second: Values, compare: Callable[[Any, Any], Any], trainings: int = 2) -> Estimate:
    """Percentile interval of compare(mean of the first, mean of the second) over draws of patients and trainings."""
    known = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    one, other = first[known], second[known]
    n = len(one)
    if not n or (compare is np.divide and not other.mean()):
        return Estimate(None, n=n, note="No patient has both values.")
    value = float(compare(one.mean(), other.mean()))
    if n < FEWEST_FOR_BOOTSTRAP or min(first.shape[1], second.shape[1]) < trainings:
        needed = "five patients, and two trainings of both methods" if trainings > 1 else "five patients"
        return Estimate(value, n=n, note=f"An interval needs {needed}.")
    rng = np.random.default_rng(_SEED)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
    means = []
    for values in (one, other):
        seeds = values.shape[1]
        weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds
        means.append(np.einsum("rp,ps,rs->r", counts, values, weights, optimize=True))
    low, high = np.quantile(compare(*means), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high), n)

"""The values of an evaluation as arrays: patients × trainings for every method and column."""

from __future__ import annotations

from collections.abc import Sequence
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
    """One value per patient and training; NaN where there is none."""

    def __init__(self, rows: Rows, methods: Sequence[Method]) -> None:
        """Collect.

        Args:
            rows: that were measured.
            methods: in the order of tables.
        """
        self.patients = [case.id for case in rows.cases]
        self.methods = {method.name: len(method.trainings) for method in methods}
        self._rows = rows.rows

    def of(self, method: str, column: str) -> Values:
        """(patients, trainings)."""
        cells = [
            [self._value(patient, method, training, column) for training in range(self.methods[method])]
            for patient in self.patients
        ]
        return np.array(cells, dtype=np.float64).reshape(len(self.patients), self.methods[method])

    def by_patient(self, method: str, column: str) -> Values:
        """(patients,) mean over the trainings; NaN where one of them has no value."""
        return np.asarray(self.of(method, column).mean(axis=1))

    def curves(self, method: str, name: str, region: str) -> Values | None:
        """(patients, points) mean over the trainings of a curve; None where nobody has it."""
        found = []
        for patient in self.patients:
            rows = [self._rows.get((patient, method, n)) for n in range(self.methods[method])]
            own = [row.curves.get(name, {}).get(region) for row in rows if row is not None]
            if own and all(curve is not None for curve in own) and len(own) == self.methods[method]:
                found.append(np.array(own, dtype=np.float64).mean(axis=0))
        return np.stack(found) if found else None

    def _value(self, patient: str, method: str, training: int, column: str) -> float:
        row = self._rows.get((patient, method, training))
        value = None if row is None else row.values.get(column)
        return np.nan if value is None else float(value)


def mean_entry(table: Table, method: str, column: Column) -> dict[str, Any]:
    """Mean over patients of a method's column, with interval, and how far the trainings lie apart."""
    values = table.of(method, column.id)
    seeds = [float(v) for v in _mean_of_known(values)]
    spread = float(np.std(seeds, ddof=1)) if len(seeds) > 1 and np.isfinite(seeds).all() else None
    by_patient = table.by_patient(method, column.id)
    return {
        "method": method,
        "column": column.id,
        "mean": statistics.mean_interval(by_patient).to_json(),
        "sd": statistics.standard_deviation(by_patient),
        "seeds": [None if not np.isfinite(v) else v for v in seeds],
        "seed_sd": spread,
    }


def difference_entry(table: Table, method: str, reference: str, column: Column) -> dict[str, Any]:
    """Paired difference method − reference of a column, patient by patient, with the signed-rank test.

    Trainings are averaged before the patients are compared. The test is of the losses (see `Column.loss`), so that for
    a column with a right value it asks which method is nearer to it; "better" tells how many patients were.
    """
    one, other = table.by_patient(method, column.id), table.by_patient(reference, column.id)
    losses = [_losses(table, name, column) for name in (method, reference)]
    test = statistics.signed_rank(losses[1], losses[0])
    both = np.isfinite(losses[0]) & np.isfinite(losses[1])
    return {
        "method": method,
        "reference": reference,
        "column": column.id,
        "difference": statistics.mean_interval(one - other).to_json(),
        "with_seeds": crossed_interval(table.of(method, column.id), table.of(reference, column.id)).to_json(),
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
    known = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    one, other = first[known], second[known]
    n = len(one)
    if not n:
        return Estimate(None, note="No patient has both values.")
    value = float(one.mean() - other.mean())
    if n < FEWEST_FOR_BOOTSTRAP or first.shape[1] < 2 or second.shape[1] < 2:
        return Estimate(value, n=n, note="Needs five patients, and two trainings of both methods.")
    rng = np.random.default_rng(_SEED)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
    draws = np.zeros(RESAMPLES)
    for values, sign in ((one, 1.0), (other, -1.0)):
        seeds = values.shape[1]
        weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds
        draws += sign * np.einsum("rp,ps,rs->r", counts, values, weights, optimize=True)
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high), n)


def ratio_of_means(table: Table, method: str, reference: str, column: str) -> Estimate:
    """Mean of a method over mean of the reference, in the patients of both; bootstrap over patients (percentiles)."""
    one, other = statistics.paired(table.by_patient(method, column), table.by_patient(reference, column))
    n = one.size
    if not n or not other.mean():
        return Estimate(None, n=n, note="No patient has both values.")
    value = float(one.mean() / other.mean())
    if n < FEWEST_FOR_BOOTSTRAP:
        return Estimate(value, n=n, note=f"{n} patients: too few for an interval.")
    drawn = np.random.default_rng(_SEED).integers(n, size=(RESAMPLES, n))
    ratios = one[drawn].mean(axis=1) / other[drawn].mean(axis=1)
    low, high = np.quantile(ratios, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high), n)


def _losses(table: Table, method: str, column: Column) -> Values:
    values = table.of(method, column.id)
    turned = [[column.loss(v) if np.isfinite(v) else np.nan for v in row] for row in values]
    return np.asarray(np.array(turned, dtype=np.float64).reshape(values.shape).mean(axis=1))


def _mean_of_known(values: Values) -> Values:
    known = np.isfinite(values)
    count = known.sum(axis=0)
    sums = np.where(known, values, 0).sum(axis=0)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)

"""Statistics across patients: one value per patient, 95 % intervals, and a sentence where there are too few."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from HierSynthLib.fidelity.measures import agreement

CONFIDENCE = 0.95
RESAMPLES = 9999
# The same patients give the same interval.
_SEED = 20260

# Fewer different patients than this give too few different resamples for a 95 % interval.
FEWEST_FOR_BOOTSTRAP = 5
# Below it, intervals of agreement span nearly all that is possible.
FEWEST_FOR_AGREEMENT = 5
# With five pairs even the most extreme two-sided p is 0.0625.
FEWEST_FOR_WILCOXON = 6
# Up to it the distribution of the signed ranks is enumerated (as in `scipy.stats.wilcoxon`).
MOST_FOR_EXACT_WILCOXON = 50

Values = NDArray[np.float64]

Column = Sequence[float | None] | Values
"""One value per patient; None or NaN where it is missing."""


@dataclass(frozen=True)
class Estimate:
    """A statistic of n patients with its 95 % interval; what does not exist is None, and `note` says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


@dataclass(frozen=True)
class Limits:
    """Bland–Altman of differences: their mean and the limits within which 95 % of them are expected."""

    bias: Estimate
    lower: Estimate
    upper: Estimate

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


@dataclass(frozen=True)
class PairedTest:
    """Wilcoxon signed-rank test of paired values.

    Attributes:
        n: patients with both values.
        median_difference: median of first − second.
        statistic: the smaller of the two rank sums.
        p: two-sided.
        effect: matched-pairs rank-biserial correlation, −1 to 1; positive where the first is larger.
        note: why there is no p, otherwise empty.
    """

    n: int
    median_difference: float | None = None
    statistic: float | None = None
    p: float | None = None
    effect: float | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


def finite(values: Column) -> Values:
    """The values that are numbers, as a flat float array; None counts as missing."""
    array = np.array(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def paired(first: Column, second: Column) -> tuple[Values, Values]:
    """The patients of whom both values are numbers.

    Raises:
        ValueError: the two do not have the same length.
    """
    one, other = np.array(first, dtype=np.float64), np.array(second, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError("Paired values are two lists of the same length.")
    both = np.isfinite(one) & np.isfinite(other)
    return one[both], other[both]


def mean_interval(values: Column) -> Estimate:
    """Mean with the patient-cluster bootstrap interval: patients are resampled, bias-corrected and accelerated (BCa).

    Args:
        values: one per patient; missing ones (None, NaN) are left out.

    Source: Efron, J Am Stat Assoc 1987;82:171; `scipy.stats.bootstrap`, 9999 resamples.
    """
    known = finite(values)
    if not known.size:
        return Estimate(None, note="No patient has this value.")
    mean = float(known.mean())
    if known.size < FEWEST_FOR_BOOTSTRAP:
        return Estimate(mean, n=known.size, note=_too_few(known.size, FEWEST_FOR_BOOTSTRAP, "an interval"))
    if not np.ptp(known):
        return Estimate(mean, n=known.size, note="All patients have the same value, so there is no interval.")
    found = stats.bootstrap(
        (known,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="BCa",
        random_state=np.random.default_rng(_SEED),
    ).confidence_interval
    return _checked(mean, float(found.low), float(found.high), known.size)


def standard_deviation(values: Column) -> float | None:
    """SD with n − 1; None with fewer than two values."""
    known = finite(values)
    return float(known.std(ddof=1)) if known.size > 1 else None


def intraclass_correlation(first: Column, second: Column) -> Estimate:
    """ICC(2,1) of two maps in the same patients; see `icc_of_table`."""
    return icc_of_table(np.column_stack(paired(first, second)))


def icc_of_table(table: ArrayLike) -> Estimate:
    """ICC(2,1): two-way random effects, absolute agreement, single measurement.

    Args:
        table: (n patients, k maps or raters) without missing values.

    Source: Shrout & Fleiss, Psychol Bull 1979;86:420 (definition); McGraw & Wong, Psychol Methods 1996;1:30, case 2,
    ICC(A,1) (interval).
    """
    values = np.asarray(table, dtype=np.float64)
    n, k = values.shape
    if n < FEWEST_FOR_AGREEMENT:
        return Estimate(None, n=n, note=_too_few(n, FEWEST_FOR_AGREEMENT, "an ICC"))
    centre = values.mean()
    by_patient, by_map = values.mean(axis=1), values.mean(axis=0)
    rows = k * float(((by_patient - centre) ** 2).sum()) / (n - 1)
    columns = n * float(((by_map - centre) ** 2).sum()) / (k - 1)
    residual = values - by_patient[:, None] - by_map[None, :] + centre
    error = float((residual**2).sum()) / ((n - 1) * (k - 1))
    denominator = rows + (k - 1) * error + k * (columns - error) / n
    if denominator <= 0 or not np.ptp(values):
        return Estimate(None, n=n, note="All values are the same, so there is no ICC.")
    icc = (rows - error) / denominator
    if error <= 1e-12 * max(rows, columns) or icc >= 1:
        return Estimate(icc, n=n, note="The maps differ by a constant only, so there is no interval.")
    a = k * icc / (n * (1 - icc))
    b = 1 + k * icc * (n - 1) / (n * (1 - icc))
    freedom = (a * columns + b * error) ** 2 / ((a * columns) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1)))
    share = (1 + CONFIDENCE) / 2
    f_low, f_high = stats.f.ppf(share, n - 1, freedom), stats.f.ppf(share, freedom, n - 1)
    spread = k * columns + (k * n - k - n) * error
    low = n * (rows - f_low * error) / (f_low * spread + n * rows)
    high = n * (f_high * rows - error) / (spread + n * f_high * rows)
    return _checked(icc, float(low), float(high), n)


def limits_of_agreement(synthetic: Column, acquired: Column) -> Limits:
    """Bland–Altman of synthetic − acquired: bias and limits (bias ± 1.96 SD), each with its interval.

    Source: Bland & Altman, Stat Methods Med Res 1999;8:135; see `agreement.bland_altman`.
    """
    one, other = paired(synthetic, acquired)
    n = one.size
    if n < FEWEST_FOR_AGREEMENT:
        none = Estimate(None, n=n, note=_too_few(n, FEWEST_FOR_AGREEMENT, "limits of agreement"))
        return Limits(none, none, none)
    found = agreement.bland_altman(one - other, n)

    def limit(name: str) -> Estimate:
        return Estimate(found[name], found[f"{name}_low"], found[f"{name}_high"], n)

    return Limits(limit("ba_bias"), limit("ba_lower"), limit("ba_upper"))


def concordance(first: Column, second: Column) -> Estimate:
    """Lin's concordance correlation; see `agreement.correlation`.

    Source: Lin, Biometrics 1989;45:255; interval from its z-transform with the variance as corrected in
    Biometrics 2000;56:324.
    """
    one, other = paired(first, second)
    n = one.size
    if n < FEWEST_FOR_AGREEMENT:
        return Estimate(None, n=n, note=_too_few(n, FEWEST_FOR_AGREEMENT, "a concordance"))
    found, v1, v2 = agreement.correlation(one, other, None), float(one.var()), float(other.var())
    value, r = found["ccc"], found["pearson_r"]
    if value is None or r is None:
        return Estimate(None, n=n, note="One map has the same value in all patients, so there is no concordance.")
    if abs(r) < 1e-12 or abs(r) >= 1 - 1e-12:
        return Estimate(value, n=n, note="The correlation is 0 or ±1, so there is no interval.")
    u2 = float(one.mean() - other.mean()) ** 2 / math.sqrt(v1 * v2)
    c2, r2 = value**2, r**2
    variance = (
        (1 - r2) * c2 / ((1 - c2) * r2)
        + 2 * value**3 * (1 - value) * u2 / (r * (1 - c2) ** 2)
        - value**4 * u2**2 / (2 * r2 * (1 - c2) ** 2)
    ) / (n - 2)
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt(max(variance, 0.0))
    z = math.atanh(value)
    return _checked(value, math.tanh(z - half), math.tanh(z + half), n)


def correlation(first: Column, second: Column) -> Estimate:
    """Pearson's r with the interval of Fisher's z; see `agreement.correlation`."""
    one, other = paired(first, second)
    n = one.size
    if n < FEWEST_FOR_AGREEMENT:
        return Estimate(None, n=n, note=_too_few(n, FEWEST_FOR_AGREEMENT, "a correlation"))
    if not np.ptp(one) or not np.ptp(other):
        return Estimate(None, n=n, note="One map has the same value in all patients, so there is no correlation.")
    found = agreement.correlation(one, other, n)
    return Estimate(found["pearson_r"], found["pearson_low"], found["pearson_high"], n)


def signed_rank(first: Column, second: Column) -> PairedTest:
    """Wilcoxon's signed-rank test of first − second, with its effect size.

    Differences of zero are left out (Wilcoxon's own way); equal ones share their mean rank. p is exact for up to
    `MOST_FOR_EXACT_WILCOXON` pairs that differ, and from the normal distribution beyond. The effect is
    (W₊ − W₋) / (W₊ + W₋).

    Source: Wilcoxon, Biometrics Bull 1945;1:80; Kerby, Compr Psychol 2014;3:1 (effect).
    """
    one, other = paired(first, second)
    n = one.size
    difference = one - other
    moved = difference[difference != 0]
    if moved.size < FEWEST_FOR_WILCOXON:
        median = float(np.median(difference)) if n else None
        return PairedTest(n, median, note=_too_few(moved.size, FEWEST_FOR_WILCOXON, "a test", "with a difference"))
    ranks = stats.rankdata(np.abs(moved))
    up, down = float(ranks[moved > 0].sum()), float(ranks[moved < 0].sum())
    exact = moved.size <= MOST_FOR_EXACT_WILCOXON
    p = _exact_signed_rank_p(ranks, min(up, down)) if exact else float(stats.wilcoxon(moved).pvalue)
    return PairedTest(n, float(np.median(difference)), min(up, down), p, (up - down) / (up + down))


def _exact_signed_rank_p(ranks: Values, smaller: float) -> float:
    """Two-sided p of the smaller sum of ranks when every sign is as likely as the other, also with ties.

    Mean ranks are whole or halves, so the distribution of twice their sum is found by adding one rank after another
    with probability 1/2.

    Source: Streitberg & Röhmel, Stat Softw Newsl 1986;12:10 (shift algorithm).
    """
    doubled = np.rint(2 * ranks).astype(int)
    probability = np.zeros(doubled.sum() + 1)
    probability[0] = 1.0
    for rank in doubled:
        shifted = np.zeros_like(probability)
        shifted[rank:] = probability[:-rank]
        probability = (probability + shifted) / 2
    return min(1.0, 2 * float(probability[: round(2 * smaller) + 1].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number, in the order given.

    Source: Holm, Scand J Stat 1979;6:65.
    """
    order = sorted(range(len(p_values)), key=lambda number: p_values[number])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[number]))
        adjusted[number] = largest
    return adjusted


def _too_few(n: int, needed: int, what: str, which: str = "") -> str:
    patients = f"patient{'' if n == 1 else 's'}{' ' + which if which else ''}"
    return f"{n} {patients}: too few for {what}, which needs at least {needed}."


def _checked(value: float, low: float, high: float, n: int) -> Estimate:
    if not (math.isfinite(low) and math.isfinite(high)):
        return Estimate(value, n=n, note="The interval cannot be computed from these values.")
    return Estimate(value, low, high, n)

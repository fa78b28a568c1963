"""Two arms rated by the same readers in the same cases: ordinal test, mean difference, non-inferiority."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from HierSynthLib.fidelity.cohort.statistics import (
    FEWEST_FOR_BOOTSTRAP,
    FEWEST_FOR_WILCOXON,
    Estimate,
    PairedTest,
    holm,
    signed_rank,
)
from HierSynthLib.reader_study.analysis.crossed import crossed_mean
from HierSynthLib.reader_study.analysis.resampling import percentile_interval, sign_flip_p, two_way_means

Values = NDArray[np.float64]
Verdict = Literal["non-inferior", "inconclusive", "inferior", "descriptive", "not known"]

MARGIN = 0.5
"""Points of a five-point scale (Tanenbaum et al., AJNR Am J Neuroradiol 2017;38:1103)."""

LEVEL = 0.025
"""One-sided, of every claim of non-inferiority (ICH E9, 1998, section 2.2.5)."""


@dataclass(frozen=True)
class NonInferiority:
    """Whether the test arm is worse than the reference by less than the margin; `verdict` judges it.

    Attributes:
        margin: in points of the item, > 0.
        p: one-sided, of "worse by the margin or more": small where the arm is non-inferior.
        p_inferior: one-sided, of "worse by the margin at most": small where the arm is inferior.
    """

    margin: float
    p: float | None
    p_inferior: float | None


@dataclass(frozen=True)
class Comparison:
    """Test − reference arm for one item; positive is better if the item says so (see `higher_is_better`).

    Attributes:
        item: identifier.
        test, reference: arms.
        higher_is_better: whether more points are better; if not, differences below are reference − test.
        pairs: ratings that exist in both arms.
        means: mean of all ratings of test and reference arm.
        difference: mean difference, readers and cases random (`crossed_mean`), with its interval.
        bootstrap: the same from resampling readers and cases.
        clustered: Wilcoxon signed rank over all readers and cases, the signs of a case flipped together.
        by_reader: study code → Wilcoxon signed rank of that reader.
        non_inferiority: from `difference`.
    """

    item: str
    test: str
    reference: str
    higher_is_better: bool
    pairs: int
    means: tuple[float | None, float | None]
    difference: Estimate
    bootstrap: Estimate
    clustered: PairedTest
    by_reader: dict[str, PairedTest]
    non_inferiority: NonInferiority

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


def compare(
    item: str,
    arms: tuple[str, str],
    test: Values,
    reference: Values,
    readers: tuple[str, ...],
    *,
    margin: float = MARGIN,
    higher_is_better: bool = True,
) -> Comparison:
    """Compare two arms.

    Args:
        item: identifier.
        arms: names of test and reference arm.
        test: (cases, readers), NaN where missing.
        reference: (cases, readers).
        readers: study codes.
        margin: > 0, in points.
        higher_is_better: whether more points are better.
    """
    sign = 1 if higher_is_better else -1
    better = sign * (test - reference)
    found = crossed_mean(better)
    bootstrap = _bootstrap(better)
    return Comparison(
        item,
        arms[0],
        arms[1],
        higher_is_better,
        int(np.isfinite(better).sum()),
        (_mean(test), _mean(reference)),
        found.mean,
        bootstrap,
        clustered_signed_rank(better),
        {
            reader: signed_rank(sign * test[:, number], sign * reference[:, number])
            for number, reader in enumerate(readers)
        },
        non_inferiority(found.mean, found.standard_error, found.freedom, margin),
    )


def clustered_signed_rank(differences: Values) -> PairedTest:
    """Wilcoxon's signed-rank test of clustered pairs.

    The differences of all readers and cases are ranked together by size (ties share their mean rank, zeros are left
    out); a case contributes the sum of its signed ranks, and under the hypothesis that sum is as likely to have the
    other sign. Readers are taken as they are: the test speaks of other cases, not of other readers.

    Args:
        differences: (cases, readers), NaN where a pair is missing.

    Returns:
        n is the number of cases; statistic the sum of all signed ranks; effect the rank-biserial correlation.

    Source: Rosner, Glynn & Lee, Biometrics 2006;62:185 (statistic); p by sign flips, see `sign_flip_p`.
    """
    known = np.isfinite(differences)
    cases = int(known.any(axis=1).sum())
    median = float(np.median(differences[known])) if known.any() else None
    moved = known & (differences != 0)
    if moved.any(axis=1).sum() < FEWEST_FOR_WILCOXON:
        note = f"Too few cases with a difference for a test, which needs at least {FEWEST_FOR_WILCOXON}."
        return PairedTest(cases, median, note=note)
    ranks = np.zeros(differences.shape)
    ranks[moved] = stats.rankdata(np.abs(differences[moved])) * np.sign(differences[moved])
    sums = ranks.sum(axis=1)
    effect = float(ranks.sum() / np.abs(ranks).sum())
    p = sign_flip_p(sums)
    note = "" if p is not None else "The differences of every case cancel out, so there is no test."
    return PairedTest(cases, median, float(ranks.sum()), p, effect, note)


def non_inferiority(
    difference: Estimate, standard_error: float | None, freedom: float | None, margin: float
) -> NonInferiority:
    """Both one-sided tests of the margin; at 2.5 % they agree with the two-sided 95 % interval.

    Args:
        difference: test − reference, positive is better.
        standard_error: of it, or None.
        freedom: of its t distribution, or None.
        margin: > 0.

    Source: Piaggio et al., JAMA 2012;308:2594 (CONSORT non-inferiority extension).
    """
    if difference.value is None or not standard_error or not freedom:
        return NonInferiority(margin, None, None)
    t = (difference.value + margin) / standard_error
    return NonInferiority(margin, float(stats.t.sf(t, freedom)), float(stats.t.cdf(t, freedom)))


def verdict(p: float | None, p_inferior: float | None) -> Verdict:
    """What may be said of one item, from both p of `NonInferiority`, adjusted for all items that are judged.

    "non-inferior" and "inferior" are claims at the one-sided `LEVEL`; "inconclusive" is neither.
    """
    if p is None or p_inferior is None:
        return "not known"
    if p <= LEVEL:
        return "non-inferior"
    return "inferior" if p_inferior <= LEVEL else "inconclusive"


def adjusted(p_values: list[float | None]) -> list[float | None]:
    """Holm's adjustment of those that exist, in the order given; see `statistics.holm`."""
    known = [p for p in p_values if p is not None]
    after = iter(holm(known))
    return [None if p is None else next(after) for p in p_values]


def _bootstrap(better: Values) -> Estimate:
    known = np.isfinite(better)
    if not known.any():
        return Estimate(None, note="There is no pair of ratings.")
    cases = int(known.any(axis=1).sum())
    if cases < FEWEST_FOR_BOOTSTRAP:
        note = f"{cases} cases: too few for an interval, which needs {FEWEST_FOR_BOOTSTRAP}."
        return Estimate(float(better[known].mean()), n=cases, note=note)
    return percentile_interval(float(better[known].mean()), two_way_means(better), cases)


def _mean(table: Values) -> float | None:
    known = table[np.isfinite(table)]
    return float(known.mean()) if known.size else None

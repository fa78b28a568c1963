"""Areas under ROC curves of several readers and arms: analysis of variance of Obuchowski and Rockette."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from HierSynthLib.fidelity.cohort.grading import FEWEST_PER_GRADE, delong_covariance, placements
from HierSynthLib.fidelity.cohort.statistics import CONFIDENCE, Estimate

Values = NDArray[np.float64]
Covariance = Literal["delong", "jackknife"]


@dataclass(frozen=True)
class Components:
    """Mean squares and averaged (co)variances of the AUCs.

    Attributes:
        arms, readers: numbers t and r.
        ms_arms: mean square of the arms.
        ms_interaction: mean square of arm × reader.
        variance: of an AUC, averaged.
        cov1: different arms, same reader.
        cov2: same arm, different readers.
        cov3: different arms, different readers.
    """

    arms: int
    readers: int
    ms_arms: float
    ms_interaction: float
    variance: float
    cov1: float
    cov2: float
    cov3: float


@dataclass(frozen=True)
class DifferenceTest:
    """Difference of two mean AUCs (second − first arm) for one view of what is random.

    Attributes:
        model: "random readers, random cases", "fixed readers, random cases" or "random readers, fixed cases".
        difference: with its 95 % interval.
        standard_error: of the difference.
        f: F of the test that all arms have the same mean AUC.
        freedom: of its denominator; infinite (None) with fixed readers.
        p: two-sided.
    """

    model: str
    difference: Estimate
    standard_error: float
    f: float
    freedom: float | None
    p: float


@dataclass(frozen=True)
class Mrmc:
    """Result of `obuchowski_rockette`.

    Attributes:
        aucs: (arms, readers).
        arms: mean AUC of each arm, with its interval for random readers and cases (of that arm's ratings alone).
        tests: of the difference of the two arms.
        components: what they were made of; None where there is none.
        high, low: numbers of cases.
        covariance: how the covariances of the AUCs were estimated.
        note: why there is no test.
    """

    aucs: list[list[float]]
    arms: list[Estimate]
    tests: list[DifferenceTest]
    components: Components | None
    high: int
    low: int
    covariance: Covariance
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


def obuchowski_rockette(scores: Values, positive: NDArray[np.bool_], covariance: Covariance = "delong") -> Mrmc:
    """Compare the mean AUCs of two arms; every reader has scored every case in both.

    Args:
        scores: (2 arms, cases, readers), larger for positive; cases with a missing score (NaN) are left out.
        positive: (cases,) the truth.
        covariance: of the AUCs: "delong", or "jackknife" over cases.

    Source: Obuchowski & Rockette, Commun Stat Simul Comput 1995;24:285; degrees of freedom and max(Cov₂ − Cov₃, 0):
    Hillis, Stat Med 2007;26:596; fixed factors and single arms: Hillis, Berbaum & Metz, Acad Radiol 2008;15:647.
    """
    complete = np.isfinite(scores).all(axis=(0, 2))
    arms, _, readers = scores.shape
    columns = scores[:, complete].transpose(1, 0, 2).reshape(int(complete.sum()), arms * readers)
    truth = positive[complete]
    high, low = columns[truth], columns[~truth]
    counts = len(high), len(low)
    if min(counts) < FEWEST_PER_GRADE or readers < 2 or arms != 2:
        note = (
            f"{readers} readers, {counts[0]} positive and {counts[1]} negative cases scored by all readers in both "
            f"arms: the analysis needs two readers and {FEWEST_PER_GRADE} cases of each kind."
        )
        return Mrmc([], [], [], None, *counts, covariance, note)
    aucs, spread = auc_covariance(high, low, covariance)
    table = aucs.reshape(arms, readers)
    components = components_of(table, spread)
    single = [_single_arm(table[arm], spread, arm) for arm in range(arms)]
    note = "" if components.variance > 1e-15 else "All AUCs are 0 or 1 without scatter, so there is no test."
    tests = [] if note else difference_tests(components, float(table[1].mean() - table[0].mean()))
    return Mrmc(table.tolist(), single, tests, components, *counts, covariance, note)


def auc_covariance(high: Values, low: Values, method: Covariance) -> tuple[Values, Values]:
    """AUCs of k columns of scores, and their (k, k) covariance.

    Args:
        high: (positive cases, k).
        low: (negative cases, k).
        method: see `obuchowski_rockette`.
    """
    if method == "delong":
        return delong_covariance(high, low)
    aucs, without = [], []
    for one in range(high.shape[1]):
        by_high, by_low = placements(high[:, one], low[:, one])
        auc = float(by_high.mean())
        # An AUC is the mean of the placements, so leaving out a case takes its placement out of the mean.
        lacking = [(len(part) * auc - part) / (len(part) - 1) for part in (by_high, by_low)]
        aucs.append(auc)
        without.append(np.concatenate(lacking))
    left = np.stack(without)
    n = left.shape[1]
    centred = left - left.mean(axis=1, keepdims=True)
    return np.array(aucs), (n - 1) / n * centred @ centred.T


def components_of(aucs: Values, covariance: Values) -> Components:
    """Mean squares of a table of AUCs (arms, readers) and the averages of their covariance (arms · readers)²."""
    arms, readers = aucs.shape
    centre = aucs.mean()
    by_arm, by_reader = aucs.mean(axis=1), aucs.mean(axis=0)
    interaction = aucs - by_arm[:, None] - by_reader[None, :] + centre
    arm, reader = np.divmod(np.arange(arms * readers), readers)
    same_arm, same_reader = arm[:, None] == arm, reader[:, None] == reader

    def average(where: NDArray[np.bool_]) -> float:
        return float(covariance[where].mean())

    return Components(
        arms,
        readers,
        readers * float(((by_arm - centre) ** 2).sum()) / (arms - 1),
        float((interaction**2).sum()) / ((arms - 1) * (readers - 1)),
        average(same_arm & same_reader),
        average(~same_arm & same_reader),
        average(same_arm & ~same_reader),
        average(~same_arm & ~same_reader),
    )


def difference_tests(found: Components, difference: float) -> list[DifferenceTest]:
    """Tests of the difference of two mean AUCs; see `obuchowski_rockette` for the source.

    Args:
        found: of two arms.
        difference: second − first arm.
    """
    t, r = found.arms, found.readers
    between = max(found.cov2 - found.cov3, 0.0)
    both = found.ms_interaction + r * between
    freedom_readers = float((t - 1) * (r - 1))
    models = [
        (
            "random readers, random cases",
            both,
            both**2 / (found.ms_interaction**2 / freedom_readers) if found.ms_interaction > 0 else None,
        ),
        ("fixed readers, random cases", found.variance - found.cov1 + (r - 1) * between, None),
        ("random readers, fixed cases", found.ms_interaction, freedom_readers),
    ]
    return [
        _test(name, found, denominator, freedom, difference) for name, denominator, freedom in models if denominator > 0
    ]


def _test(name: str, found: Components, denominator: float, freedom: float | None, difference: float) -> DifferenceTest:
    error = math.sqrt(2 * denominator / found.readers)
    df = math.inf if freedom is None else freedom
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, df)) * error
    f = found.ms_arms / denominator
    p = float(2 * stats.t.sf(abs(difference) / error, df))
    return DifferenceTest(
        name, Estimate(difference, difference - half, difference + half, found.readers), error, f, freedom, p
    )


def _single_arm(aucs: Values, covariance: Values, arm: int) -> Estimate:
    readers = len(aucs)
    own = covariance[arm * readers : (arm + 1) * readers, arm * readers : (arm + 1) * readers]
    cov2 = max(float(own[~np.eye(readers, dtype=bool)].mean()), 0.0)
    ms_readers = float(aucs.var(ddof=1))
    mean = float(aucs.mean())
    if ms_readers <= 0:
        return Estimate(mean, n=readers, note="All readers have the same AUC, so there is no interval.")
    error = math.sqrt(ms_readers / readers + cov2)
    freedom = (ms_readers + readers * cov2) ** 2 / (ms_readers**2 / (readers - 1))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), readers)

"""Statistics across patients, against published examples, brute force and other libraries."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from HierSynthLib.fidelity.cohort.grading import compare_auc, roc, threshold_agreement
from HierSynthLib.fidelity.cohort.statistics import (
    concordance,
    correlation,
    holm,
    icc_of_table,
    intraclass_correlation,
    limits_of_agreement,
    mean_interval,
    signed_rank,
    standard_deviation,
)

# Shrout & Fleiss, Psychol Bull 1979;86:420, table 2: six targets, four judges.
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
# Bland & Altman, Lancet 1986;1:307: peak flow of 17 people, large and small meter, l/min.
LARGE = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
SMALL = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]

RNG = np.random.default_rng(7)


# --- mean ------------------------------------------------------------------------------------------------------------


def test_the_bootstrap_interval_of_many_normal_values_is_that_of_student():
    values = RNG.normal(3.0, 0.5, 200)
    found = mean_interval(values)
    t = stats.t.interval(0.95, 199, values.mean(), stats.sem(values))
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(t, abs=0.01)
    assert found.n == 200


def test_the_bootstrap_interval_of_skewed_values_leans_to_their_long_side():
    found = mean_interval(np.exp(RNG.normal(0, 1, 30)))
    assert found.high - found.value > 1.2 * (found.value - found.low)


def test_the_same_patients_give_the_same_interval():
    values = RNG.random(8)
    assert mean_interval(values) == mean_interval(values)


def test_missing_values_are_left_out():
    assert mean_interval([1.0, None, 3.0, float("nan")]).n == 2
    assert mean_interval([1.0, None, 3.0]).value == 2.0
    assert standard_deviation([1.0, None, 3.0]) == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize(
    ("values", "value", "said"),
    [
        ([], None, "No patient"),
        ([None], None, "No patient"),
        ([2.0], 2.0, "1 patient: too few"),
        ([1.0, 2.0, 3.0, 4.0], 2.5, "4 patients: too few for an interval, which needs at least 5"),
        ([2.0] * 9, 2.0, "same value"),
    ],
)
def test_without_enough_patients_there_is_a_sentence_and_no_interval(values, value, said):
    found = mean_interval(values)
    assert found.value == value
    assert (found.low, found.high) == (None, None)
    assert said in found.note


# --- ICC -------------------------------------------------------------------------------------------------------------


def test_icc_of_shrout_and_fleiss():
    found = icc_of_table(SHROUT_FLEISS)
    assert round(found.value, 2) == 0.29  # their table 4
    assert (round(found.low, 2), round(found.high, 2)) == (0.02, 0.76)  # R package psych, ICC(), the same example
    assert found.n == 6


def test_icc_from_an_analysis_of_variance_made_by_hand():
    """Mean squares from sums over the design, and the interval of McGraw & Wong's table 7 written out."""
    table = RNG.normal(size=(9, 1)) + RNG.normal(0, 0.4, (9, 2)) + [0, 0.3]
    n, k = table.shape
    total = ((table - table.mean()) ** 2).sum()
    ss_rows = sum(k * (row.mean() - table.mean()) ** 2 for row in table)
    ss_columns = sum(n * (column.mean() - table.mean()) ** 2 for column in table.T)
    msr, msc = ss_rows / (n - 1), ss_columns / (k - 1)
    mse = (total - ss_rows - ss_columns) / ((n - 1) * (k - 1))
    rho = (msr - mse) / (msr + (k - 1) * mse + k / n * (msc - mse))
    a, b = k * rho / (n * (1 - rho)), 1 + k * rho * (n - 1) / (n * (1 - rho))
    v = (a * msc + b * mse) ** 2 / ((a * msc) ** 2 / (k - 1) + (b * mse) ** 2 / ((n - 1) * (k - 1)))
    f1, f2 = stats.f.isf(0.025, n - 1, v), stats.f.isf(0.025, v, n - 1)
    low = n * (msr - f1 * mse) / (f1 * (k * msc + (k * n - k - n) * mse) + n * msr)
    high = n * (f2 * msr - mse) / (k * msc + (k * n - k - n) * mse + n * f2 * msr)
    found = intraclass_correlation(table[:, 0], table[:, 1])
    assert (found.value, found.low, found.high) == pytest.approx((rho, low, high))


def test_icc_is_about_absolute_agreement():
    values = np.arange(10.0)
    shifted = intraclass_correlation(values, values + 3 + RNG.normal(0, 0.01, 10))
    assert shifted.value < 0.8
    same = intraclass_correlation(values, values)
    assert same.value == 1
    assert same.low is None
    assert "no interval" in same.note


def test_too_few_or_constant_patients_have_no_icc():
    assert intraclass_correlation([1, 2, 3, 4], [1, 2, 3, 4]).value is None
    assert "same" in intraclass_correlation([1.0] * 6, [1.0] * 6).note


# --- Bland–Altman, concordance, correlation --------------------------------------------------------------------------


def test_limits_of_agreement_of_bland_and_altman():
    found = limits_of_agreement(LARGE, SMALL)
    assert found.bias.value == pytest.approx(-2.1, abs=0.05)
    assert (found.bias.low, found.bias.high) == pytest.approx((-22.0, 17.8), abs=0.1)  # as published
    deviation = (found.upper.value - found.bias.value) / 1.96
    assert deviation == pytest.approx(38.8, abs=0.05)
    # The interval of a limit with their (1999) standard error; they published √(3/n), which is the same within 2 %.
    half = stats.t.ppf(0.975, 16) * 38.77 * np.sqrt(1 / 17 + 1.96**2 / 32)
    assert found.lower.high - found.lower.value == pytest.approx(half, rel=1e-3)
    assert found.upper.value - found.upper.low == pytest.approx(2.12 * 38.77 * np.sqrt(3 / 17), rel=0.03)


def test_the_sign_of_the_bias_is_synthetic_minus_acquired():
    assert limits_of_agreement([2, 3, 4, 5, 7], [1, 2, 3, 4, 5]).bias.value == pytest.approx(1.2)


def test_concordance_is_the_slope_free_correlation():
    one, other = RNG.normal(2, 1, 40), RNG.normal(2, 1, 40)
    other = 0.7 * one + 0.3 * other + 0.2
    found = concordance(one, other)
    # Lin 1989: 1 − mean squared difference / its value without any correlation.
    expected = 1 - np.mean((one - other) ** 2) / (one.var() + other.var() + (one.mean() - other.mean()) ** 2)
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high


def test_the_interval_of_concordance_is_as_wide_as_repeated_samples_scatter():
    def sample(n, rng):
        one = rng.normal(0, 1, n)
        return one, 0.8 * one + rng.normal(0, 0.3, n) + 1.2

    rng = np.random.default_rng(3)
    scatter = np.std([np.arctanh(concordance(*sample(60, rng)).value) for _ in range(1500)])
    widths = []
    for _ in range(200):
        found = concordance(*sample(60, rng))
        widths.append((np.arctanh(found.high) - np.arctanh(found.low)) / (2 * 1.959964))
    assert np.mean(widths) == pytest.approx(scatter, rel=0.06)


def test_correlation_has_fishers_interval():
    one = RNG.normal(size=20)
    other = one + RNG.normal(size=20)
    found = correlation(one, other)
    r = np.corrcoef(one, other)[0, 1]
    z = np.arctanh(r) + np.array([-1.959964, 1.959964]) / np.sqrt(17)
    assert (found.value, found.low, found.high) == pytest.approx((r, *np.tanh(z)), rel=1e-4)


@pytest.mark.parametrize("statistic", [concordance, correlation])
def test_constant_or_few_values_have_no_correlation(statistic):
    assert statistic([1.0] * 8, np.arange(8.0)).value is None
    few = statistic([1, 2, 3], [1, 2, 3])
    assert few.value is None
    assert "too few" in few.note


def test_pairs_need_the_same_patients():
    with pytest.raises(ValueError, match="same length"):
        correlation([1, 2, 3], [1, 2])
    assert correlation([1, None, 3, 4, 5, 6], [2, 1, float("nan"), 3, 5, 9]).n == 4


# --- Wilcoxon and Holm -----------------------------------------------------------------------------------------------


def test_wilcoxon_by_turning_every_sign():
    first = np.array([0.71, 0.64, 0.80, 0.55, 0.77, 0.69, 0.58, 0.73])
    second = first - np.array([0.05, 0.01, -0.02, 0.04, 0.06, 0.03, -0.005, 0.07])
    found = signed_rank(first, second)
    ranks = stats.rankdata(np.abs(first - second))
    sums = [sum(rank for rank, up in zip(ranks, signs, strict=True) if up) for signs in product((0, 1), repeat=8)]
    smaller = min(ranks[first > second].sum(), ranks[first < second].sum())
    assert found.statistic == smaller
    assert found.p == pytest.approx(2 * np.mean(np.array(sums) <= smaller))
    assert found.effect == pytest.approx((36 - 2 * smaller) / 36)
    assert signed_rank(second, first).effect == pytest.approx(-found.effect)


TIED = [(1, 1, 1, 2, 2, -3), (2, 2, -2, 2, 2, 2, 2, 1, -1), (1, -1, 1, -1, 2, -2), (1,) * 14]


@pytest.mark.parametrize("sizes", TIED)
def test_wilcoxon_is_exact_with_ties(sizes):
    found = signed_rank([*sizes, 0], [0] * (len(sizes) + 1))
    ranks, up = stats.rankdata(np.abs(sizes)), np.array(sizes) > 0
    signs = np.array(list(product((False, True), repeat=len(sizes))))
    sums = np.where(signs, ranks, 0).sum(axis=1)
    smaller = min(ranks[up].sum(), ranks[~up].sum())
    assert found.statistic == smaller
    assert found.p == pytest.approx(min(1.0, 2 * np.mean(sums <= smaller)), rel=1e-12)


@pytest.mark.parametrize("n", [6, 20, 50, 51])
def test_wilcoxon_without_ties_is_that_of_scipy(n):
    difference = np.random.default_rng(n).normal(0.3, 1.0, n)
    expected = stats.wilcoxon(difference)
    found = signed_rank(difference, np.zeros(n))
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)


def test_wilcoxon_needs_six_patients_that_differ():
    found = signed_rank([1, 2, 3, 4, 5, 6.0], [1, 1, 1, 1, 1, 1.0])
    assert found.p is None
    assert "5 patients with a difference: too few" in found.note
    assert signed_rank([], []).median_difference is None


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(some.lists(some.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_raw_values_and_bonferroni(values):
    adjusted = holm(values)
    for raw, corrected in zip(values, adjusted, strict=True):
        assert raw <= corrected <= min(1.0, len(values) * raw) + 1e-12
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


# --- grading ---------------------------------------------------------------------------------------------------------


def by_brute_force(high, low):
    """AUC and DeLong's structural components, pair by pair."""
    wins = np.array([[1.0 if h > g else 0.5 if h == g else 0.0 for g in low] for h in high])
    return wins.mean(), wins.mean(axis=1), wins.mean(axis=0)


grades = some.lists(some.tuples(some.integers(0, 6), some.booleans()), min_size=8, max_size=30).filter(
    lambda patients: 4 <= sum(high for _, high in patients) <= len(patients) - 4
)


@settings(deadline=None, max_examples=60)
@given(grades)
def test_auc_and_its_interval(patients):
    values, high = [float(value) for value, _ in patients], [grade for _, grade in patients]
    found = roc(values, high)
    assert found.auc.value == pytest.approx(roc_auc_score(high, values))
    groups = [[v for v, h in zip(values, high, strict=True) if h is grade] for grade in (True, False)]
    auc, v10, v01 = by_brute_force(*groups)
    variance = np.var(v10, ddof=1) / len(v10) + np.var(v01, ddof=1) / len(v01)
    if variance < 1e-12:
        assert found.auc.low is None
    else:
        half = 1.959964 * np.sqrt(variance)
        expected = (max(0, auc - half), min(1, auc + half))
        assert (found.auc.low, found.auc.high) == pytest.approx(expected, abs=1e-6)
    rates = np.array(found.curve)
    assert np.trapezoid(rates[:, 1], rates[:, 0]) == pytest.approx(auc)


def test_delongs_test_by_brute_force():
    high = np.array([1] * 9 + [0] * 8, bool)
    first = RNG.normal(size=17) + 1.5 * high
    second = 0.5 * first + RNG.normal(size=17)
    components = [by_brute_force(values[high], values[~high]) for values in (first, second)]
    variance = sum(
        np.cov(components[0][part], components[1][part])[0, 0] / count
        + np.cov(components[0][part], components[1][part])[1, 1] / count
        - 2 * np.cov(components[0][part], components[1][part])[0, 1] / count
        for part, count in ((1, 9), (2, 8))
    )
    found = compare_auc(first, second, high)
    z = (components[0][0] - components[1][0]) / np.sqrt(variance)
    assert found.z == pytest.approx(z)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert compare_auc(second, first, high).difference == pytest.approx(-found.difference)


def test_delongs_test_holds_its_level():
    """Two equally good values: p < 0.05 in about one of twenty samples."""
    rng = np.random.default_rng(5)
    high = np.arange(80) < 40
    truth = rng.normal(size=(400, 80)) + high
    p = [compare_auc(t + rng.normal(size=80), t + rng.normal(size=80), high).p for t in truth]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.085


def test_grades_that_cannot_be_told_or_are_told_completely():
    perfect = roc([1, 2, 3, 4, 5, 6, 7, 8], [False] * 4 + [True] * 4)
    assert perfect.auc.value == 1
    assert perfect.auc.low is None
    assert "completely, and" in perfect.auc.note
    reversed_ = roc([8, 7, 6, 5, 4, 3, 2, 1], [False] * 4 + [True] * 4)
    assert reversed_.auc.value == 0
    assert "reversed" in reversed_.auc.note
    alike = roc([2.0] * 8, [False] * 4 + [True] * 4)
    assert alike.auc.value == 0.5
    assert "All patients have the same value" in alike.auc.note
    assert "told apart" not in alike.auc.note
    few = roc([1, 2, 3], [True, True, False])
    assert few.auc.value is None
    assert "2 high-grade and 1 low-grade patients: too few" in few.auc.note
    same = compare_auc(np.arange(8.0), 2 * np.arange(8.0), [True, False] * 4)
    assert same.p is None
    assert "alike" in same.note
    assert "too few" in compare_auc([1, None], [1, 2], [True, False]).note


@given(some.lists(some.tuples(some.floats(0, 4), some.floats(0, 4)), min_size=5, max_size=25))
def test_kappa_is_that_of_scikit_learn(patients):
    first, second = zip(*patients, strict=True)
    found = threshold_agreement(first, second, 1.75)
    above, also = (np.array(values) >= 1.75 for values in (first, second))
    assert sum(found.counts.values()) == len(patients)
    assert found.agreement == pytest.approx(np.mean(above == also))
    if (above.all() and also.all()) or not (above.any() or also.any()):
        assert found.kappa.value is None
        assert "same side" in found.kappa.note
    else:
        assert found.kappa.value == pytest.approx(cohen_kappa_score(above, also))


def test_kappa_of_cohens_formula_and_of_too_few():
    first, second = [2.0] * 20 + [1.0] * 15, [2.0] * 15 + [1.0] * 5 + [2.0] * 3 + [1.0] * 12
    found = threshold_agreement(first, second, 1.75)
    expected = (20 * 18 + 15 * 17) / 35**2
    kappa, error = (27 / 35 - expected) / (1 - expected), np.sqrt(27 / 35 * 8 / 35 / 35) / (1 - expected)
    assert found.kappa.value == pytest.approx(kappa)
    assert (found.kappa.low, found.kappa.high) == pytest.approx((kappa - 1.96 * error, kappa + 1.96 * error), rel=1e-4)
    assert found.counts == {"both": 15, "first": 5, "second": 3, "neither": 12}
    assert "too few" in threshold_agreement([1, 2], [1, 2], 1.75).kappa.note

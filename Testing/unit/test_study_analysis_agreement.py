"""Agreement between readers: published worked examples and brute force."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sklearn.metrics import cohen_kappa_score

from HierSynthLib.reader_study.analysis.agreement import (
    icc_of_complete,
    nominal_agreement,
    ordinal_agreement,
    scale_agreement,
)
from HierSynthLib.reader_study.analysis.alpha import krippendorff_alpha
from HierSynthLib.reader_study.analysis.chance import agreement_weights, fleiss_kappa, gwet_ac, percent_agreement
from HierSynthLib.reader_study.analysis.kappa import mean_kappa, weighted_kappa

NONE = np.nan
FIVE = (1, 2, 3, 4, 5)

# Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, part C; also "cac.raw4raters" of Gwet 2014, p. 120.
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
        [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
    ]
).T

# Fleiss, Psychol Bull 1971;76:378, table 1: 30 patients, 6 psychiatrists, 5 diagnoses.
FLEISS = (
    "00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031 00501 30012 51000 "
    "02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"
)

# Gwet 2014, two abstractors of 100 patients; with the results of the R package irrCAC 1.0, vignette "overview".
ABSTRACTORS = np.array([[13, 0, 0], [0, 20, 7], [0, 4, 56]])


def ratings_of(counts):
    """A table of (cases, readers) with so many ratings of each category per case."""
    return np.array([[n + 1 for n, count in enumerate(row) for _ in range(count)] for row in counts], dtype=float)


def columns_of(table):
    rows, columns = np.indices(table.shape)
    return tuple(np.repeat(part.ravel(), table.ravel()).astype(float) for part in (rows, columns))


def half_width(found):
    return (found.high - found.low) / 2


@pytest.mark.parametrize(("level", "value"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_krippendorffs_example(level, value):
    assert krippendorff_alpha(KRIPPENDORFF, level).value == pytest.approx(value, abs=5e-4)


def alpha_by_pairs(table, level):
    """Alpha from its definition, pair of values by pair of values."""
    cases = [[value for value in row if np.isfinite(value)] for row in table]
    cases = [row for row in cases if len(row) > 1]
    pooled = [value for row in cases for value in row]

    def distance(a, b):
        if level == "nominal":
            return float(a != b)
        if level == "interval":
            return (a - b) ** 2
        low, high = min(a, b), max(a, b)
        between = sum(low <= value <= high for value in pooled)
        return (between - (pooled.count(low) + pooled.count(high)) / 2) ** 2 if low != high else 0.0

    n = len(pooled)
    observed = (
        sum(distance(a, b) / (len(row) - 1) for row in cases for a, b in product(row, row)) / n
    )  # a value paired with itself adds nothing
    expected = sum(distance(a, b) for a, b in product(pooled, pooled)) / (n * (n - 1))
    return 1 - observed / expected


tables = some.lists(
    some.lists(some.sampled_from([1.0, 2.0, 3.0, 5.0, NONE]), min_size=3, max_size=3), min_size=8, max_size=12
)


@settings(max_examples=15, deadline=None)
@given(tables, some.sampled_from(["nominal", "ordinal", "interval"]))
def test_alpha_by_brute_force(rows, level):
    table = np.array(rows)
    found = krippendorff_alpha(table, level)
    if found.value is not None:
        assert found.value == pytest.approx(alpha_by_pairs(table, level), abs=1e-9)


def test_alpha_does_not_exist_without_different_values():
    assert krippendorff_alpha(np.full((9, 3), 4.0), "ordinal").value is None
    assert "too few" in krippendorff_alpha(KRIPPENDORFF[:3], "nominal").note


def test_the_interval_of_alpha_is_as_wide_as_other_samples_scatter():
    draw = np.random.default_rng(5)

    def sample():
        quality = draw.normal(size=(60, 1))
        return np.clip(np.round(3 + quality + 0.8 * draw.normal(size=(60, 4))), 1, 5)

    found = [krippendorff_alpha(sample(), "interval") for _ in range(60)]
    spread = np.std([each.value for each in found], ddof=1)
    assert np.mean([half_width(each) for each in found]) == pytest.approx(1.96 * spread, rel=0.25)


def test_gwet_fleiss_and_per_cent_of_gwets_example():
    """Values and standard errors (t interval, 11 degrees of freedom) of irrCAC 1.0, vignette "overview"."""
    t = 2.200985
    for function, value, error in (
        (percent_agreement, 0.8181818, 0.12561),
        (gwet_ac, 0.77544, 0.14295),
        (fleiss_kappa, 0.76117, 0.15302),
    ):
        found = function(KRIPPENDORFF, FIVE, "identity")
        assert found.value == pytest.approx(value, abs=5e-6)
        assert found.value - found.low == pytest.approx(t * error, abs=5e-5)
        assert found.high == 1


def test_gwets_ac1_and_fleiss_kappa_of_six_psychiatrists():
    """Fleiss 1971: κ = 0.430; the first 15 patients: irrCAC 1.0, vignette "overview"."""
    table = ratings_of([[int(count) for count in row] for row in FLEISS.split()])
    assert fleiss_kappa(table, FIVE).value == pytest.approx(0.430, abs=5e-4)
    fleiss, ac1 = fleiss_kappa(table[:15], FIVE), gwet_ac(table[:15], FIVE)
    assert fleiss.value == pytest.approx(0.4139265, abs=5e-8)
    assert ac1.value == pytest.approx(0.4448007, abs=5e-8)
    assert half_width(fleiss) == pytest.approx(2.144787 * 0.08119291, abs=1e-6)
    assert half_width(ac1) == pytest.approx(2.144787 * 0.08418757, abs=1e-6)


def ac2_by_pairs(table, weights):
    """Gwet's coefficient of complete ratings 0 … q − 1 from its definition (Gwet 2008)."""
    _cases, readers = table.shape
    pairs = list(combinations(range(readers), 2))
    agreed = np.mean([weights[int(row[a]), int(row[b])] for row in table for a, b in pairs])
    share = np.array([(table == category).mean() for category in range(len(weights))])
    q = len(weights)
    expected = weights.sum() / (q * (q - 1)) * (share * (1 - share)).sum()
    return (agreed - expected) / (1 - expected)


@pytest.mark.parametrize("kind", ["linear", "quadratic"])
def test_ac2_and_weighted_fleiss_by_brute_force(kind):
    table = np.random.default_rng(2).binomial(4, 0.7, size=(20, 4)).astype(float)
    weights = agreement_weights(range(5), kind)
    assert gwet_ac(table, range(5), kind).value == pytest.approx(ac2_by_pairs(table, weights))
    agreed = np.mean([weights[int(r[a]), int(r[b])] for r in table for a, b in combinations(range(4), 2)])
    share = np.array([(table == category).mean() for category in range(5)])
    chance = sum(weights[a, b] * share[a] * share[b] for a, b in product(range(5), range(5)))
    assert fleiss_kappa(table, range(5), kind).value == pytest.approx((agreed - chance) / (1 - chance))


def test_the_error_of_ac2_is_that_of_a_jackknife():
    table = np.random.default_rng(3).binomial(4, 0.6, size=(80, 5)).astype(float)
    values = [gwet_ac(np.delete(table, n, axis=0), range(5), "quadratic").value for n in range(80)]
    error = np.sqrt(79 / 80 * ((values - np.mean(values)) ** 2).sum())
    assert half_width(gwet_ac(table, range(5), "quadratic")) == pytest.approx(1.990450 * error, rel=0.03)


def test_kappa_of_two_abstractors():
    found = weighted_kappa(*columns_of(ABSTRACTORS), (0, 1, 2), "identity")
    assert found.value == pytest.approx(0.7964094, abs=5e-8)
    assert half_width(found) == pytest.approx(1.959964 * 0.05891072, abs=1e-6)


def test_kappas_of_a_sas_printout():
    """PROC FREQ with AGREE, as printed in the tests of statsmodels: simple and (linearly) weighted kappa."""
    pair = columns_of(np.array([[0, 4, 1], [0, 8, 0], [0, 1, 5]]))
    simple, weighted = (weighted_kappa(*pair, (0, 1, 2), kind) for kind in ("identity", "linear"))
    assert (simple.value, simple.low, simple.high) == pytest.approx((0.4842, 0.2137, 0.7547), abs=5e-5)
    assert (weighted.value, weighted.low, weighted.high) == pytest.approx((0.4701, 0.1845, 0.7558), abs=5e-5)


def test_quadratic_kappa_is_an_intraclass_correlation():
    """Fleiss & Cohen, Educ Psychol Meas 1973;33:613; with n instead of n − 1 it is Lin's concordance."""
    draw = np.random.default_rng(4)
    one = draw.integers(1, 6, 300).astype(float)
    other = np.clip(one + draw.integers(-1, 2, 300), 1, 5)
    concordance = 2 * np.cov(one, other, ddof=0)[0, 1] / (one.var() + other.var() + (one.mean() - other.mean()) ** 2)
    assert weighted_kappa(one, other, FIVE, "quadratic").value == pytest.approx(concordance)


@pytest.mark.parametrize(
    ("kind", "sklearn_kind"), [("identity", None), ("linear", "linear"), ("quadratic", "quadratic")]
)
def test_kappas_are_those_of_scikit_learn(kind, sklearn_kind):
    table = np.random.default_rng(6).binomial(4, 0.5, size=(30, 3)).astype(float)
    expected = {
        pair: cohen_kappa_score(table[:, pair[0]], table[:, pair[1]], weights=sklearn_kind, labels=range(5))
        for pair in combinations(range(3), 2)
    }
    for (a, b), value in expected.items():
        assert weighted_kappa(table[:, a], table[:, b], range(5), kind).value == pytest.approx(value)
    assert mean_kappa(table, range(5), kind).value == pytest.approx(np.mean(list(expected.values())))


def test_the_error_of_weighted_kappa_is_that_of_a_bootstrap():
    one, other = columns_of(ABSTRACTORS)
    draw = np.random.default_rng(7)
    drawn = [draw.integers(0, 100, 100) for _ in range(800)]
    values = [cohen_kappa_score(one[d], other[d], weights="linear", labels=[0, 1, 2]) for d in drawn]
    assert half_width(weighted_kappa(one, other, (0, 1, 2), "linear")) == pytest.approx(1.96 * np.std(values), rel=0.1)


def test_kappa_of_missing_constant_and_few_ratings():
    one, other = np.array([1.0, 2, NONE, 3, 4, 5, 1]), np.array([1.0, 2, 3, 3, NONE, 5, 2])
    assert weighted_kappa(one, other, FIVE, "linear").n == 5
    assert weighted_kappa(np.full(9, 4.0), np.full(9, 4.0), FIVE, "linear").value is None
    assert "too few" in weighted_kappa(one[:4], other[:4], FIVE, "linear").note
    assert weighted_kappa(np.full(9, 4.0), np.array([4.0] * 8 + [3]), FIVE, "linear").value == pytest.approx(0)


def test_skew_brings_kappa_down_and_gwets_ac_not():
    """Nearly all "good": readers agree on most cases, kappa and alpha are near 0, AC1 and per cent are high."""
    table = np.full((60, 4), 4.0)
    for place in range(12):
        table[5 * place, place % 4] = 3
    found = ordinal_agreement(table, FIVE, ("R1", "R2", "R3", "R4"))
    values = {name: estimate["value"] for name, estimate in found["coefficients"].items()}
    assert values["percent"] == pytest.approx(0.9)
    assert values["ac1"] > 0.85
    assert values["ac2"] > 0.95
    assert max(values["fleiss"], values["kappa_quadratic"], values["alpha_ordinal"], values["icc"]) < 0.05
    assert found["skew"] == pytest.approx(0.95)
    assert "95 %" in found["note"]


def test_every_coefficient_stands_beside_the_others():
    table = np.random.default_rng(8).binomial(4, 0.5, size=(20, 3)) + 1.0
    ordered = ordinal_agreement(table, FIVE, ("R1", "R2", "R3"))
    assert {"percent", "kappa_linear", "kappa_quadratic", "fleiss", "ac1", "ac2", "alpha_ordinal", "icc"} <= set(
        ordered["coefficients"]
    )
    assert [(pair["first"], pair["second"]) for pair in ordered["pairs"]] == [("R1", "R2"), ("R1", "R3"), ("R2", "R3")]
    assert {"percent", "kappa", "fleiss", "ac1", "alpha_nominal"} == set(
        nominal_agreement(table, FIVE, ("R1", "R2", "R3"))["coefficients"]
    )
    assert {"alpha_interval", "icc"} == set(scale_agreement(table)["coefficients"])


def test_icc_takes_the_cases_that_all_rated():
    table = np.random.default_rng(9).normal(size=(12, 1)) + np.random.default_rng(10).normal(size=(12, 3))
    holed = np.vstack([table, [[1.0, NONE, 2.0]]])
    assert icc_of_complete(holed) == icc_of_complete(table)
    assert icc_of_complete(table[:, :1]).value is None


def test_a_rating_outside_the_form_is_a_fault():
    with pytest.raises(ValueError, match="none of the categories"):
        percent_agreement(np.full((9, 2), 7.0), FIVE, "identity")

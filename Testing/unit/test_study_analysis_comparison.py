"""Comparison of arms, shares, repeats, times and regions."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from HierSynthLib.reader_study.analysis.choices import flags, preference, turing
from HierSynthLib.reader_study.analysis.comparison import adjusted, clustered_signed_rank, compare, verdict
from HierSynthLib.reader_study.analysis.crossed import crossed_mean
from HierSynthLib.reader_study.analysis.ratings import Ratings
from HierSynthLib.reader_study.analysis.regions import region_agreement
from HierSynthLib.reader_study.analysis.repeats import repeatability
from HierSynthLib.reader_study.analysis.resampling import percentile_interval, sign_flip_p, two_way_means, weights
from HierSynthLib.reader_study.analysis.shares import clustered_share, share_of, wilson_interval
from HierSynthLib.reader_study.analysis.timing import reading_time

NONE = np.nan


def crossed(draw, cases, readers, case=0.7, reader=0.3, rest=1.0):
    return (
        case * draw.normal(size=(cases, 1))
        + reader * draw.normal(size=(1, readers))
        + rest * draw.normal(size=(cases, readers))
    )


# --- means over readers and cases ------------------------------------------------------------------------------------


def test_the_variance_of_a_complete_table_is_that_of_its_mean_squares():
    table = crossed(np.random.default_rng(1), 20, 4)
    by_case, by_reader, centre = table.mean(axis=1), table.mean(axis=0), table.mean()
    of_cases, of_readers = 4 * by_case.var(ddof=1), 20 * by_reader.var(ddof=1)
    rest = ((table - by_case[:, None] - by_reader + centre) ** 2).sum() / (19 * 3)
    found = crossed_mean(table)
    variance = (of_cases + of_readers - rest) / 80
    freedom = (80 * variance) ** 2 / (of_cases**2 / 19 + of_readers**2 / 3 + rest**2 / 57)
    assert found.standard_error**2 == pytest.approx(variance)
    assert found.freedom == pytest.approx(freedom)
    assert (found.mean.low, found.mean.high) == pytest.approx(stats.t.interval(0.95, freedom, centre, variance**0.5))


def test_one_reader_has_the_interval_of_student():
    values = np.random.default_rng(2).normal(size=(12, 1))
    found = crossed_mean(values).mean
    assert (found.low, found.high) == pytest.approx(
        stats.t.interval(0.95, 11, values.mean(), stats.sem(values, axis=None))
    )


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_the_interval_of_a_crossed_mean_holds_the_truth(missing):
    draw = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        table = crossed(draw, 25, 4)
        table[draw.random(table.shape) < missing] = NONE
        found = crossed_mean(table).mean
        held += found.low < 0 < found.high
    assert 0.91 < held / 400 < 0.98


def test_crossed_means_of_few_equal_or_no_values():
    assert crossed_mean(np.full((8, 3), 2.0)).mean.note.startswith("All values are the same")
    assert "too few" in crossed_mean(np.ones((3, 3))).mean.note
    assert crossed_mean(np.full((8, 3), NONE)).mean.value is None
    lonely = np.where(np.arange(3) == np.arange(9)[:, None] % 3, np.arange(9.0)[:, None], NONE)
    assert crossed_mean(lonely).mean.low is not None  # each case has one reader only


def test_resampling_draws_as_many_as_there_are():
    drawn = weights(7)
    assert (drawn.sum(axis=1) == 7).all()
    assert drawn.mean() == pytest.approx(1)
    table = crossed(np.random.default_rng(4), 60, 8)
    table[0, 0] = NONE
    found = percentile_interval(float(np.nanmean(table)), two_way_means(table), 60)
    model = crossed_mean(table).mean
    assert found.value == pytest.approx(model.value)
    assert found.high - found.low == pytest.approx(model.high - model.low, rel=0.35)


def test_statistics_that_often_do_not_exist_have_no_interval():
    values = np.r_[np.full(30, NONE), np.arange(70.0)]
    assert percentile_interval(1.0, values, 9).low is None
    assert percentile_interval(1.0, np.ones(50), 9).low is None


# --- ordinal test and non-inferiority --------------------------------------------------------------------------------


def test_sign_flips_by_trying_all():
    sums = np.array([2.0, -1.0, 3.0, 0.0, 1.5, 2.5, -0.5])
    moved = sums[sums != 0]
    totals = [abs(np.dot(signs, moved)) for signs in product((-1, 1), repeat=6)]
    assert sign_flip_p(sums) == pytest.approx(np.mean(np.array(totals) >= abs(moved.sum()) - 1e-12))
    assert sign_flip_p(-sums) == sign_flip_p(sums)
    assert sign_flip_p(np.zeros(5)) is None


def test_random_sign_flips_agree_with_the_normal_approximation():
    sums = np.random.default_rng(5).normal(0.2, 1, 80)
    z = sums.sum() / np.sqrt((sums**2).sum())  # Rosner, Glynn & Lee 2006
    assert sign_flip_p(sums) == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.02)


def test_one_reader_has_wilcoxons_test():
    """With one reader and no ties, flipping signs of cases is the exact signed-rank test."""
    differences = np.array([[0.9], [-0.2], [1.4], [2.0], [-0.5], [0.7], [1.1], [0.3], [1.9]])
    exact = stats.wilcoxon(differences[:, 0], method="exact")
    found = clustered_signed_rank(differences)
    assert found.p == pytest.approx(exact.pvalue)
    assert found.effect == pytest.approx((45 - 2 * exact.statistic) / 45)


def test_the_clustered_test_holds_its_level_where_readers_agree():
    """Readers who all see the same: a test that took their ratings as independent would reject far too often."""
    draw = np.random.default_rng(6)
    clustered = naive = 0
    for _ in range(120):
        same = draw.normal(size=(13, 1))
        differences = np.round(2 * (same + 0.1 * draw.normal(size=(13, 6)))) / 2
        clustered += clustered_signed_rank(differences).p < 0.05
        naive += stats.wilcoxon(differences.ravel()).pvalue < 0.05
    assert clustered / 120 < 0.11
    assert naive / 120 > 0.2


def test_cases_without_difference_leave_no_test():
    assert "Too few" in clustered_signed_rank(np.zeros((20, 3))).note
    cancelled = np.tile([1.0, -1.0], (10, 1))
    assert clustered_signed_rank(cancelled).p is None


def judged(mean, spread=0.3, margin=0.5, better=True):
    draw = np.random.default_rng(7)
    reference = draw.normal(3, 0.5, (60, 5))
    noise = draw.normal(0, spread, (60, 5))
    test = reference + (mean if better else -mean) + noise - noise.mean()
    found = compare(
        "q",
        ("test", "reference"),
        test,
        reference,
        ("R1", "R2", "R3", "R4", "R5"),
        margin=margin,
        higher_is_better=better,
    )
    assert found.difference.value == pytest.approx(mean)
    result = verdict(found.non_inferiority.p, found.non_inferiority.p_inferior)
    # Alone, one-sided tests at 2.5 % say what the two-sided 95 % interval says.
    low, high = found.difference.low, found.difference.high
    assert result == ("non-inferior" if low > -margin else "inferior" if high < -margin else "inconclusive")
    return result


@pytest.mark.parametrize("better", [True, False])
def test_verdicts(better):
    assert judged(0.3, better=better) == "non-inferior"
    assert judged(-0.2, better=better) == "non-inferior"
    assert judged(-0.5, better=better) == "inconclusive"
    assert judged(-1.0, better=better) == "inferior"
    assert judged(-0.2, margin=0.1, better=better) == "inferior"
    assert verdict(None, None) == "not known"


def test_the_one_sided_p_of_the_margin_belongs_to_the_interval():
    draw = np.random.default_rng(8)
    reference = draw.normal(3, 0.5, (60, 5))
    test = reference + draw.normal(-0.1, 0.4, (60, 5))
    found = compare("q", ("t", "r"), test, reference, tuple("abcde"))
    again = compare("q", ("t", "r"), test, reference, tuple("abcde"), margin=-found.difference.low)
    assert again.non_inferiority.p == pytest.approx(0.025, abs=1e-6)
    assert found.means == pytest.approx((test.mean(), reference.mean()))
    assert set(found.by_reader) == set("abcde")
    assert found.by_reader["a"].p == pytest.approx(stats.wilcoxon(test[:, 0] - reference[:, 0]).pvalue)


def test_missing_ratings_leave_the_others():
    reference = np.random.default_rng(9).normal(3, 0.5, (20, 3))
    test = reference + 0.5
    test[0, 0] = reference[1, 1] = NONE
    found = compare("q", ("t", "r"), test, reference, ("a", "b", "c"))
    assert found.pairs == 58
    assert found.difference.value == pytest.approx(0.5)


def test_holm_passes_over_what_does_not_exist():
    assert adjusted([0.01, None, 0.04]) == pytest.approx([0.02, None, 0.04])


# --- shares ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("yes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_of_newcombe(yes, n, low, high):
    """Newcombe, Stat Med 1998;17:857, table I, method 3; scipy gives the same."""
    assert wilson_interval(yes / n, n) == pytest.approx((low, high), abs=5e-5)
    expected = stats.binomtest(yes, n).proportion_ci(method="wilson")
    assert wilson_interval(yes / n, n) == pytest.approx((expected.low, expected.high))


def test_clustered_answers_count_less():
    draw = np.random.default_rng(10)
    alike = np.repeat((draw.random((80, 1)) < 0.6).astype(float), 6, axis=1)
    alike[0, 0] = 1 - alike[0, 0]
    apart = (draw.random((80, 6)) < 0.6).astype(float)
    width = {
        name: np.ptp([f.low, f.high])
        for name, f in (("alike", clustered_share(alike)), ("apart", clustered_share(apart)))
    }
    assert width["alike"] == pytest.approx(np.ptp(wilson_interval(alike.mean(), 80)), rel=0.1)
    assert width["apart"] == pytest.approx(np.ptp(wilson_interval(apart.mean(), 480)), rel=0.25)


def test_answers_that_are_all_the_same_count_once_per_case():
    found = clustered_share(np.ones((30, 4)))
    assert found.value == 1
    assert found.low == pytest.approx(wilson_interval(1.0, 30)[0])
    assert share_of(np.array([NONE, NONE])).value is None
    assert clustered_share(np.full((3, 2), NONE)).value is None


def test_turing_counts_both_kinds_of_error():
    synthetic, acquired = [[1, 1], [1, 0]], [[0, 0], [1, NONE]]  # (cases, readers)
    found = turing(np.array([acquired, synthetic]), np.array([False, True]), ("R1", "R2"))
    assert found["by_reader"]["R1"]["accuracy"]["value"] == 0.75
    assert found["by_reader"]["R2"]["specificity"]["value"] == 1
    assert found["pooled"]["sensitivity"]["value"] == 0.75
    assert found["pooled"]["specificity"]["value"] == pytest.approx(2 / 3)
    assert found["pooled"]["balanced"]["value"] == pytest.approx((0.75 + 2 / 3) / 2)
    assert found["pooled"]["accuracy"]["value"] == pytest.approx(5 / 7)
    assert found["pooled"]["accuracy"]["n"] == 7


def test_always_the_same_answer_is_guessing_however_many_arms_are_synthetic():
    always = np.ones((3, 20, 4))
    found = turing(always, np.array([False, True, True]), ("R1", "R2", "R3", "R4"))["pooled"]
    assert found["accuracy"]["value"] == pytest.approx(2 / 3)
    assert found["balanced"]["value"] == pytest.approx(0.5)
    assert found["balanced"]["low"] < 0.5 < found["balanced"]["high"]
    assert turing(always, np.array([True, True, True]), ("R1",))["pooled"]["balanced"]["value"] is None


@pytest.mark.parametrize(("arms", "missing"), [(2, 0.0), (3, 0.2)])
def test_the_interval_of_the_balanced_accuracy_holds_the_truth_where_hard_cases_are_hard_in_every_arm(arms, missing):
    """The same answers with every map as a case of its own would hold it in fewer than 91 % of studies."""
    draw, cases, readers, studies = np.random.default_rng(16), 40, 5, 250
    synthetic = np.arange(arms) > 0
    truth = stats.norm.cdf(0.3 / np.sqrt(1 + 0.8**2 + 0.15**2))  # P(e < 0.3 + case + reader), all normal
    held = naive = 0
    for _ in range(studies):
        ease = 0.3 + 0.8 * draw.normal(size=(1, cases, 1)) + 0.15 * draw.normal(size=(1, 1, readers))
        correct = (draw.normal(size=(arms, cases, readers)) < ease).astype(float)
        correct[draw.random(correct.shape) < missing] = NONE
        found = clustered_share(correct[synthetic], correct[~synthetic])
        held += found.low < truth < found.high
        apart = clustered_share(correct.reshape(-1, readers))
        naive += apart.low < truth < apart.high
    assert 0.925 < held / studies < 0.985
    assert naive / studies < 0.91


def test_one_answer_per_case_and_kind_makes_the_mean_of_the_cell():
    """Linearised answers of a complete table are the means of each case's answers, for which `crossed_mean` stands."""
    correct = (np.random.default_rng(17).random((2, 30, 4)) < 0.7).astype(float)
    found, cells = clustered_share(correct[:1], correct[1:]), crossed_mean(correct.mean(axis=0))
    share = correct.mean()
    effective = min(240, share * (1 - share) / cells.standard_error**2)
    quantile = stats.t.ppf(0.975, cells.freedom)
    assert (found.low, found.high) == pytest.approx(wilson_interval(share, effective, quantile))
    assert found.n == 240


def test_preference_leaves_the_undecided_out_of_the_share():
    choices = np.array([[1, 0], [-1, -1], [1, 0], [-1, NONE], [1, 1], [1, 0]])
    sides = np.where(choices == 0, NONE, 1.0)
    found = preference(choices, sides, ("R1", "R2"))
    assert found["counts"] == {"test": 5, "none": 3, "reference": 3}
    assert found["share"]["value"] == pytest.approx(5 / 8)
    assert found["net"]["value"] == pytest.approx(2 / 11)
    assert found["left"]["value"] == 1
    assert found["by_reader"]["R2"]["counts"] == {"test": 1, "none": 3, "reference": 1}
    raised = flags(np.array([[1.0, 0.0], [0.0, NONE]]), ("R1", "R2"))
    assert raised["pooled"]["value"] == pytest.approx(1 / 3)


# --- repeats, times, regions -----------------------------------------------------------------------------------------


def test_repeats_by_hand():
    """Within-reader SD = √(Σd² / 2n); 95 % of repeats within 2.77 times that (Bland & Altman 1999)."""
    first, second = np.array([3.0, 4, 5, 2, 3, 4]), np.array([3.0, 5, 4, 2, 3, 4])
    found = repeatability(first, second, (1, 2, 3, 4, 5))
    assert found["identical"] == pytest.approx(4 / 6)
    assert found["within_sd"] == pytest.approx(np.sqrt(2 / 12))
    assert found["coefficient"] == pytest.approx(2.77 * np.sqrt(2 / 12))
    assert {"icc", "kappa_quadratic", "ac2"} <= set(found)
    assert repeatability(np.array([]), np.array([]), None)["identical"] is None


def test_reading_time_is_compared_as_a_ratio():
    draw = np.random.default_rng(11)
    times = np.exp(draw.normal(3, 0.3, (1, 40, 4))) * np.array([1.0, 1.25])[:, None, None]
    found = reading_time(Ratings("active_s", ("a", "b"), (), ("R1", "R2", "R3", "R4"), times), "a")
    assert found["ratios"]["b"]["value"] == pytest.approx(1.25)
    assert found["arms"]["b"]["median"] == pytest.approx(np.median(times[1]))
    assert found["by_reader"]["R3"]["a"]["n"] == 40


def test_marked_regions_agree_between_arms():
    draw = np.random.default_rng(12)
    truth = draw.normal(3, 1, (30, 1))
    values = np.stack([truth + 0.1 * draw.normal(size=(30, 3)), truth - 0.2 + 0.1 * draw.normal(size=(30, 3))])
    values[1, 0, :2] = NONE
    found = region_agreement(Ratings("hotspots", ("acquired", "synthetic"), (), ("R1", "R2", "R3"), values), "acquired")
    all_readers = found["arms"][0]
    assert all_readers["bland_altman"]["bias"]["value"] == pytest.approx(-0.2, abs=0.05)
    assert all_readers["icc"]["value"] > 0.9
    assert all_readers["reference_values"][0] == pytest.approx(values[0, 0, 2])  # only R3 has both
    assert [row["reader"] for row in found["arms"]] == ["all", "R1", "R2", "R3"]
    assert found["readers"]["acquired"]["value"] > 0.95


def test_fewer_than_five_cases_have_no_interval_by_any_method():
    table = np.random.default_rng(0).integers(1, 6, (4, 5, 3)).astype(float)
    for cases, known in ((4, False), (5, True)):
        found = compare("quality", ("a", "b"), table[0, :cases], table[1, :cases], ("R1", "R2", "R3"))
        assert found.bootstrap.value == pytest.approx((table[0, :cases] - table[1, :cases]).mean())
        assert (found.bootstrap.low is not None) == (found.difference.low is not None) == known

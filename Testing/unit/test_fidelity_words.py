"""The sentence beside the traffic light."""

import pytest

from HierSynthLib.fidelity.measures.words import judge, region_words

NAMES = {"synthetic_name": "synthetic", "acquired_name": "acquired"}


@pytest.mark.parametrize(
    ("synthetic", "acquired", "level"),
    [
        (1.0, 1.0, "good"),
        (1.36, 1.0, "good"),
        (1 / 1.36, 1.0, "good"),
        (1.37, 1.0, "caution"),
        (1 / 1.37, 1.0, "caution"),
        (2.50, 1.0, "caution"),
        (1 / 2.50, 1.0, "caution"),
        (2.53, 1.0, "poor"),
        (1 / 2.53, 1.0, "poor"),
        (8.2, 10.0, "good"),
    ],
)
def test_levels_are_those_of_the_published_repeatability(synthetic, acquired, level):
    # Within-subject CV 0.31 and repeatability coefficient 2.77 · 0.31 = 0.8587, as shares of the mean of both: a factor
    # of (2 + 0.31) / (2 − 0.31) = 1.367 or (2 + 0.8587) / (2 − 0.8587) = 2.505 in either direction.
    assert judge("mean", synthetic, acquired, **NAMES).level == level


def test_the_sentence_that_users_read():
    found = judge("hotspot", 8.2, 10.0, **NAMES)
    assert found.text == (
        "Synthetic underestimates the hotspot by 18 %, within the repeatability of DSC "
        "(20 % of the mean of both; within-subject CV 31 %)."
    )


def test_agreement_to_within_a_percent_is_said():
    assert judge("mean", 2.001, 2.0, **NAMES).text == "Synthetic agrees with acquired in the mean to within 1 %."


@pytest.mark.parametrize(("synthetic", "level"), [(0.05, "good"), (0.4, "caution"), (1.5, "poor"), (-0.2, "good")])
def test_near_zero_no_percentage_is_given(synthetic, level):
    found = judge("mean", synthetic, 0.02, **NAMES)
    assert found.level == level
    assert f"{synthetic:.2f}".replace("-", "−") in found.text
    assert "too close to zero for a percentage" in found.text


def test_another_map_is_named():
    text = judge("mean", 2.6, 2.0, synthetic_name="model B", acquired_name="true").text
    assert text.startswith("Model B overestimates the mean of the true map by 30 %")


def test_hotspots_are_judged_where_both_maps_have_one():
    hot = {"hotspot_mean": 4.0, "mean": 1.0}
    assert "hotspot by 20 %" in region_words("lesion", hot, {"hotspot_mean": 5.0, "mean": 1.0}, **NAMES).text
    assert "mean by 50 %" in region_words("lesion", hot, {"hotspot_mean": None, "mean": 2.0}, **NAMES).text


def test_when_there_is_nothing_to_say_the_reason_stands_there():
    values = {"hotspot_mean": None, "mean": 1.0}
    nothing = {"hotspot_mean": None, "mean": None}
    for role, acquired, doubtful, reason in (
        ("reference", values, None, "reference sets the scale"),
        ("lesion", values, 3.2, "3.20 instead of 1"),
        ("lesion", nothing, None, "acquired map has no value"),
    ):
        found = region_words(role, values, acquired, doubtful=doubtful, **NAMES)
        assert found.level == "none"
        assert reason in found.text


def test_a_map_in_other_units_is_not_judged():
    values = {"hotspot_mean": 4.0, "mean": 1.0}
    found = region_words("lesion", values, values, units="ml/100 g", **NAMES)
    assert found.level == "none"
    assert "ml/100 g" in found.text

"""The measures' definitions: one entry each, shown to users in words, and a page that is written from them."""

from pathlib import Path

import pytest

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.measures.definitions import (
    format_value,
    fraction_id,
    groups,
    ids,
    markdown,
    measure,
    measures,
)
from HierSynthLib.fidelity.measures.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "measures.md"


def test_the_page_is_the_one_that_is_written():
    assert PAGE.read_text("utf-8") == markdown()


def test_every_measure_stands_once_and_is_complete():
    every = measures()
    assert len({each.id for each in every}) == len(every) > 95
    for each in every:
        assert each.name
        assert each.short
        assert each.range
        assert each.formula
        assert each.definition.endswith(".")
        assert each.library
        assert 0 <= each.decimals <= 4
        assert measure(each.id) == each
        assert f"(`{each.id}`)" in markdown() or each.id.startswith("fraction_above_")


def test_what_the_panel_and_the_report_ask_for_is_there():
    wanted = (
        "voxels volume_ml mean sd median p5 p25 p75 p90 p95 max hotspot_mean entropy cv ratio_to_nawm invalid_voxels"
    )
    assert set(wanted.split()) <= set(ids("intensity"))
    wanted = (
        "ssim ssim_box psnr mae mse nrmse bias pearson_r pearson_low pearson_high ccc ba_bias ba_bias_low ba_bias_high "
        "ba_lower ba_lower_low ba_lower_high ba_upper ba_upper_low ba_upper_high histogram_distance hotspot_dice "
        "hotspot_hd95_mm uncertainty_error_r effective_n"
    )
    assert set(wanted.split()) <= set(ids("agreement"))
    assert all(name.startswith("ibsi_") for name in ids("texture"))
    assert [group.id for group in groups()] == ["intensity", "texture", "agreement", "cohort"]


@pytest.mark.parametrize("threshold", [0.5, 1.0, 1.75, 2])
def test_a_fraction_stands_for_any_threshold(threshold):
    found = measure(fraction_id(threshold))
    assert found.id == f"fraction_above_{float(threshold)}"
    assert str(float(threshold)) in found.name
    assert "<" not in found.id + found.name + found.short + found.formula + found.definition
    assert found in measures([threshold])


def test_an_unknown_measure_is_an_error():
    for name in ("nonsense", "fraction_above_x"):
        with pytest.raises(KeyError):
            measure(name)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("mean", 1.005, "1.00"),
        ("bias", -0.127, "−0.13"),
        ("bias", -0.001, "0.00"),
        ("voxels", 1234.0, "1234"),
        ("psnr", None, "–"),
        ("psnr", float("nan"), "–"),
        ("fraction_above_1.75", 0.5, "0.50"),
        ("ssim", 0.98765, "0.988"),
    ],
)
def test_values_as_users_see_them(name, value, text):
    assert format_value(name, value) == text


def test_settings_go_through_json():
    settings = Settings(thresholds=(2, 1.5), texture=False, normalise=("acquired",), bin_width=0.1)
    assert settings.thresholds == (1.5, 2.0)
    assert Settings.from_json(settings.to_json()) == settings
    assert Settings.from_json({}) == Settings()


@pytest.mark.parametrize(
    "fields",
    [
        {"data_range": 0},
        {"data_range": float("nan")},
        {"bin_width": "wide"},
        {"hotspot_mm": -1},
        {"thresholds": 1.75},
        {"thresholds": ["a"]},
        {"texture": 1},
        {"normalise": "acquired"},
        {"normalise": [1]},
        {"hotspot_threshold": None},
        {"colour": "red"},
    ],
)
def test_impossible_settings_are_named(fields):
    with pytest.raises(InputError, match=next(iter(fields)).replace("hotspot_threshold", "threshold")):
        Settings.from_json(fields)

"""What the figures of an evaluation show: the right values at the right places, and no label cut off."""

import numpy as np
import pytest
from matplotlib.text import Text

from Training.evaluation.pictures import maps_figure
from Training.evaluation.plots import (
    calibration_figure,
    forest_figure,
    grading_figure,
    robustness_figure,
    spectrum_figure,
)

NOTE = "SYNTHETIC maps of SIMULATED patients."


def estimate(value, low=None, high=None):
    return {"value": value, "low": low, "high": high, "n": 9, "note": ""}


def cut_off(figure):
    """The texts that do not lie within the figure; marks beyond an axis are never drawn."""
    figure.draw_without_rendering()
    width, height = figure.canvas.get_width_height()
    beyond = set()
    for axis in (each for axes in figure.axes for each in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        beyond |= {label for tick in ticks if not low <= tick.get_loc() <= high for label in (tick.label1, tick.label2)}
    shown = [
        each for each in figure.findobj(Text) if each.get_visible() and each.get_text().strip() and each not in beyond
    ]
    boxes = [(each.get_text(), each.get_window_extent()) for each in shown]
    assert len(boxes) > 4
    return [name for name, b in boxes if b.x0 < -1 or b.y0 < -1 or b.x1 > width + 1 or b.y1 > height + 1]


def test_the_patients_right_is_on_the_left_and_the_front_is_up():
    shape = (20, 26)
    brain = np.ones(shape, bool)
    target = np.zeros(shape)
    target[17, 24] = 5.0  # far right, far in front
    case = {"target": target, "brain": brain, "roi": np.zeros(shape, bool), "anatomy": target, "spacing": np.ones(3)}
    figure = maps_figure("A title", case, [("model", 2 * target)], 6.0, NOTE)
    first, change = figure.axes[0].images[0].get_array(), figure.axes[3].images[0].get_array()
    assert np.argwhere(first == 5.0).tolist() == [[1, 2]]
    assert np.argwhere(change == 5.0).tolist() == [[1, 2]], "map − target"
    assert {axes.texts[0].get_text() for axes in figure.axes[:4]} == {"R"}
    assert all(axes.texts[0].get_position()[0] < 0.1 for axes in figure.axes[:4])
    assert cut_off(figure) == []


@pytest.mark.parametrize("count", [1, 5, 6, 9])
def test_all_models_are_shown_with_the_same_window(count):
    shape = (16, 20)
    ones = np.ones(shape)
    case = {"target": ones, "brain": ones > 0, "roi": ones > 2, "anatomy": ones, "spacing": np.ones(3)}
    maps = [(f"method {n}", n * ones) for n in range(count)]
    figure = maps_figure("phantom-high-9000: SYNTHETIC CBV maps and the true map", case, maps, 6.0, NOTE)
    shown = {axes.get_title(): axes for axes in figure.axes if axes.images and axes.get_visible()}
    for name, array in maps:
        image = shown[name].images[0]
        assert image.get_clim() == (0.0, 6.0)
        assert (image.get_array() == array.T).all()
    assert cut_off(figure) == []


def test_a_measure_with_a_right_value_is_shown_as_itself():
    differences = [
        {
            "method": "new",
            "reference": "old",
            "column": "roi_ssim",
            "difference": estimate(0.03, 0.01, 0.05),
            "with_seeds": estimate(0.03, -0.02, 0.08),
        },
        {
            "method": "new",
            "reference": "old",
            "column": "roi_high_frequency_ratio",
            "difference": estimate(0.2, 0.1, 0.3),
            "with_seeds": estimate(0.2),
        },
    ]
    means = [
        {"method": "new", "column": "roi_high_frequency_ratio", "mean": estimate(0.95, 0.9, 1.0)},
        {"method": "old", "column": "roi_high_frequency_ratio", "mean": estimate(0.75, 0.7, 0.8)},
    ]
    figure = forest_figure("Difference to old", differences, means, NOTE)
    gain, ratio = figure.axes
    assert [float(line.get_xdata()[0]) for line in gain.lines] == [0, -0.02, 0.01, 0.03]
    assert [float(line.get_xdata()[0]) for line in ratio.lines] == [1.0, 0.75, 0.9, 0.95], (
        "right, reference, interval, mean"
    )
    assert "better to the right" in gain.get_xlabel()
    assert cut_off(figure) == []


def test_curves_and_bars_hold_the_values():
    nominal = [0.1, 0.5, 0.9]
    curves = [{"method": "new", "region": "roi", "nominal": nominal, "mean": [0.05, 0.4, 0.8]}]
    axes = calibration_figure("Calibration", curves, NOTE).axes[0]
    assert list(axes.lines[1].get_ydata()) == [0.05, 0.4, 0.8]
    spectra = [{"method": "new", "region": "brain", "per_mm": [0.1, 0.2, 0.3], "ratio": [1.0, None, 0.2]}]
    axes = spectrum_figure("Spectrum", spectra, NOTE).axes[0]
    assert list(axes.lines[1].get_xdata()) == [0.1, 0.3], "a bin without a value is left out"
    costs = [
        {"method": "new", "without": ["ADC"], "cost": estimate(0.02, 0.01, 0.03)},
        {"method": "new", "without": ["T1", "FLAIR"], "cost": estimate(None)},
    ]
    figure = robustness_figure("Missing", costs, 0.03, NOTE)
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0.02]
    assert cut_off(figure) == []


def test_areas_under_the_curve_stand_in_the_order_given():
    curves = [
        {"features": "structural", "auc": estimate(0.6, 0.5, 0.7)},
        {"features": "structural + a method with a long name", "auc": estimate(0.8, 0.7, 0.9)},
    ]
    figure = grading_figure("Grading: high against low", curves, NOTE)
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    points = {float(line.get_ydata()[0]): float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "D"}
    assert labels == ["structural + a method with a long name", "structural"]
    assert points == {0.0: 0.8, 1.0: 0.6}
    assert cut_off(figure) == []

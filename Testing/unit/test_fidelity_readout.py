"""The line of numbers under the cursor."""

import math

import pytest

from HierSynthLib.fidelity.readout import readout_lines


def test_all_values():
    values = {"uncertainty": 0.42, "synthetic": 2.314, "difference": 0.1849, "acquired": 2.1251}
    assert readout_lines(values) == [
        ("Synthetic", "2.31 nrCBV"),
        ("Acquired", "2.13 nrCBV"),
        ("Difference", "+0.18"),
        ("Uncertainty", "±0.42"),
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(-0.5, "−0.50"), (0.5, "+0.50"), (0.001, "0.00"), (-0.001, "0.00"), (0.0, "0.00")]
)
def test_signs(value, text):
    assert dict(readout_lines({"difference": value}))["Difference"] == text


@pytest.mark.parametrize("absent", [None, math.nan, math.inf])
def test_outside_a_map(absent):
    assert readout_lines({"synthetic": 1.0, "acquired": absent}) == [
        ("Synthetic", "1.00 nrCBV"),
        ("Acquired", "outside"),
    ]


def test_nowhere():
    assert readout_lines({"synthetic": None, "difference": None}) == [("Synthetic", "–"), ("Difference", "–")]
    assert readout_lines({}) == []


def test_unknown_maps_have_no_line():
    assert readout_lines({"global": 1.0}) == []


@pytest.mark.parametrize(("value", "text"), [(14.26, "14.3 a.u."), (-0.5, "−0.5 a.u."), (None, "outside")])
def test_an_acquired_map_in_its_own_units(value, text):
    lines = readout_lines({"synthetic": 1.0, "acquired": value}, "a.u.")
    assert lines == [("Synthetic", "1.00 nrCBV"), ("Acquired", text)]

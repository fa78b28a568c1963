"""run.json in words: no text, however hostile, does harm. A real one is read in test_synthesis_job.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from HierSynthLib.case.naming import read_name
from HierSynthLib.synthesis.summary import LONGEST_TEXT, provenance_lines, result_name

KEYS = ["synthetic", "global", "residual", "uncertainty", "difference", "checkerboard", "acquired_on_grid"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", "[" * 100_000])
def test_what_is_no_record_says_so(text):
    assert provenance_lines(text) == [("Provenance", "The record of the run (run.json) cannot be read.")]


def test_missing_fields_have_no_row():
    assert provenance_lines({}) == []
    assert provenance_lines({"device": "cpu", "seconds": {"total": None}, "model": "x"}) == [("Device", "cpu")]


def test_hostile_texts_become_one_plain_line():
    rows = provenance_lines({"statement": "a\nb\x00\u202e<b>c</b>" + "x" * 10_000, "warnings": ["1\r\n2", 3]})
    assert rows[0][1].startswith("a b<b>c</b>xxx")
    assert len(rows[0][1]) == LONGEST_TEXT
    assert rows[1:] == [("Warning", "1 2")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | st.text(max_size=30),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=10), children, max_size=3),
    max_leaves=10,
)
FIELDS = [
    "statement",
    "simulated",
    "case",
    "created",
    "model",
    "seconds",
    "inputs",
    "preparation",
    "warnings",
    "device",
]


@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_whatever_it_holds_it_becomes_lines(fields):
    for label, text in provenance_lines(fields):
        for part in (label, text):
            assert part
            assert part.isprintable()
            assert len(part) <= LONGEST_TEXT + 10


@given(st.dictionaries(st.sampled_from(["grid", "spacing_mm", "units", "sha256"]), json_values))
def test_whatever_an_input_holds_it_becomes_lines(fields):
    assert len(provenance_lines({"inputs": {"T1": fields}})) <= 1


def test_names():
    assert result_name("T1", "synthetic", False) == "T1 CBV SYNTHETIC"
    assert result_name("T1", "synthetic", True) == "T1 CBV SYNTHETIC (simulated)"
    assert result_name("5: t1_mprage", "uncertainty", False) == "5: t1_mprage CBV uncertainty SYNTHETIC"
    assert result_name("", "global", False) == "CBV global SYNTHETIC"
    assert result_name("T1", "acquired_on_grid", False) == "T1 CBV acquired on grid"


def test_the_name_of_a_map_is_not_piled_up():
    for key in KEYS:
        name = result_name("5: t1_mprage", key, True)
        assert result_name(name, "difference", True) == "5: t1_mprage CBV difference SYNTHETIC (simulated)"
        assert result_name(f"{name}_1", "synthetic", False) == "5: t1_mprage CBV SYNTHETIC"
        unmarked = result_name("5: t1_mprage", key, False)
        assert result_name(f"{unmarked}_1", "synthetic", False) == "5: t1_mprage CBV SYNTHETIC"


@given(st.text(max_size=200), st.sampled_from(KEYS), st.booleans())
def test_every_name_is_marked_and_printable(reference, key, simulated):
    name = result_name(reference, key, simulated)
    assert name.isprintable()
    assert len(name) < 140
    assert ("SYNTHETIC" in name.removeprefix(reference[:80])) or key == "acquired_on_grid" or "SYNTHETIC" in reference
    assert name.endswith("(simulated)") == simulated or "(simulated)" in reference


@pytest.mark.parametrize("key", KEYS)
def test_results_are_never_taken_for_acquired_volumes(key):
    assert read_name(result_name("T1", key, False)).role is None

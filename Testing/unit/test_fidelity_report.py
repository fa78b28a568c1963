"""Table and report of a patient, from a measurement written by hand."""

import csv
import hashlib
import io
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from HierSynthLib.case import Case
from HierSynthLib.fidelity.report.page import ReportFigure, case_report
from HierSynthLib.fidelity.report.record import main_sentences, make_record, normalisation_offers, primary_region
from HierSynthLib.fidelity.report.subject import Choices, SyntheticMap, describe_subject
from HierSynthLib.fidelity.report.tables import COLUMNS, in_units, measurement_csv, tidy_rows
from Testing.hand_made_fidelity import (
    hand_made_measurement,
    hand_made_plot,
    hand_made_record,
    write_tiny_case,
)

LIBRARY = Path(__file__).parents[2]


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


# --- table -----------------------------------------------------------------------------------------------------------


def test_one_row_per_region_map_and_measure():
    measurement = hand_made_measurement()
    rows = rows_of(measurement_csv(measurement, case="p1", simulated=False))
    keys = {(row["region"], row["map"], row["compared_with"], row["measure"]) for row in rows}
    entries = (*measurement["intensity"], *measurement["agreement"])
    assert len(keys) == len(rows) == sum(len(entry["values"]) for entry in entries)
    assert tuple(rows[0]) == COLUMNS
    (row,) = [
        row for row in rows if (row["region"], row["map"], row["measure"]) == ("Tumour", "ADC", "ibsi_stat_var")
    ]  # fmt: skip
    assert row["unit"] == "(10⁻³ mm²/s)²"
    assert row["group"] == "texture"
    assert (row["case"], row["status"], row["reference"]) == ("p1", "ACQUIRED", "NAWM reference")
    assert (row["data_range"], row["bin_width"]) == ("6", "0.25")
    (row,) = [row for row in rows if (row["region"], row["measure"]) == ("Tumour", "fraction_above_1.75")][:1]
    assert row["name"] == "Fraction above 1.75"
    (row,) = [
        row for row in rows if (row["region"], row["compared_with"], row["measure"]) == ("Tumour", "acquired", "bias")
    ]
    assert (row["map"], row["value"], row["unit"], row["status"]) == ("synthetic", "-0.5", "nrCBV", "SYNTHETIC")
    assert row["notes"] == "It is small."


def test_what_does_not_exist_is_empty_and_numbers_are_plain():
    measurement = hand_made_measurement({"synthetic": 1 / 3}, {"acquired": 1234567.0})
    rows = rows_of(measurement_csv(measurement, case="p1", simulated=True))
    values = {(row["region"], row["map"], row["measure"]): row["value"] for row in rows if not row["compared_with"]}
    assert values["Tumour", "synthetic", "cv"] == ""
    assert values["Tumour", "synthetic", "mean"] == "0.333333"
    assert values["Tumour", "synthetic", "voxels"] == "100"
    assert values["Tumour", "acquired", "mean"] == "1234567"
    assert {row["status"] for row in rows} == {"SYNTHETIC, SIMULATED", "ACQUIRED, SIMULATED"}


@pytest.mark.parametrize("name", ["=1+1", "@sum", "-tumour", "+a"])
def test_a_name_is_no_formula_for_a_spreadsheet(name):
    measurement = hand_made_measurement(regions=((name, "lesion"),))
    rows = rows_of(measurement_csv(measurement, case="p1", simulated=False))
    assert {row["region"] for row in rows} == {f"'{name}"}
    assert any(float(row["value"]) < 0 for row in rows if row["value"])  # numbers stay numbers


def test_without_a_reference_the_table_says_none():
    measurement = hand_made_measurement() | {"reference": None}
    assert {row["reference"] for row in tidy_rows(measurement, case="p1", simulated=False)} == {"none"}


def test_the_table_says_what_a_map_was_divided_by_and_how_hotspots_were_found():
    fields = {"nawm_mean": 1.78, "expected": 1.0, "doubtful": True, "applied": True}
    measurement = hand_made_measurement() | {"normalisation": {"acquired": fields}}
    rows = rows_of(measurement_csv(measurement, case="p1", simulated=False))
    found = {(row["map"], row["compared_with"]): row["normalised"] for row in rows}
    assert found == {
        ("synthetic", ""): "", ("acquired", ""): "1.78", ("ADC", ""): "", ("synthetic", "acquired"): "1.78",
    }  # fmt: skip
    assert {(row["hotspot_threshold"], row["hotspot_mm"]) for row in rows} == {("1.75", "6")}
    measurement["normalisation"]["acquired"] = fields | {"applied": False}
    assert {row["normalised"] for row in tidy_rows(measurement, case="p1", simulated=False)} == {None}


def test_the_true_map_of_a_simulation_is_not_called_acquired():
    measurement = hand_made_measurement(acquired={"acquired": 2.5, "true": 2.4})
    rows = list(tidy_rows(measurement, case="p1", simulated=True))
    assert {row["status"] for row in rows if row["map"] == "true"} == {"SIMULATED TRUTH"}
    assert {row["status"] for row in rows if row["map"] == "acquired"} == {"ACQUIRED, SIMULATED"}
    assert "true (SIMULATED TRUTH)" in case_report(hand_made_record(measurement=measurement), [])


def test_differences_to_a_map_in_other_units_have_no_unit():
    measurement = hand_made_measurement(acquired={"acquired": 2.5, "true": 2.4})
    next(each for each in measurement["maps"] if each["name"] == "acquired")["units"] = "ml/100g"
    rows = list(tidy_rows(measurement, case="p1", simulated=False))
    units = {(row["compared_with"], row["measure"]): row["unit"] for row in rows if row["compared_with"]}
    assert units["acquired", "bias"] == units["acquired", "mse"] == ""
    assert (units["acquired", "psnr"], units["acquired", "hotspot_hd95_mm"]) == ("dB", "mm")
    assert (units["true", "bias"], units["true", "mse"]) == ("nrCBV", "nrCBV²")
    page = Page(case_report(hand_made_record(measurement=measurement), []))
    assert "SYNTHETIC against acquired. acquired is not in nrCBV" in page.words
    assert "SYNTHETIC against true. CBV in nrCBV" in page.words


def test_units():
    assert in_units("map", "nrCBV") == "nrCBV"
    assert in_units("map²", "") == ""
    assert in_units("bit", "nrCBV") == "bit"


def test_the_panel_can_import_the_table():
    module = "HierSynthLib.fidelity.report.tables"
    program = f"import sys; sys.path.insert(0, {str(LIBRARY)!r}); import {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", program], stdout=subprocess.PIPE, check=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"scipy", "SimpleITK", "matplotlib", "pandas", "torch"}


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("regions", "first"),
    [
        ((("Core", "lesion"), ("Whole lesion", "lesion")), "Whole lesion"),
        ((("Core", "lesion"), ("Whole brain", "brain")), "Core"),
        ((("NAWM reference", "reference"), ("Whole brain", "brain")), "Whole brain"),
        ((("NAWM reference", "reference"),), None),
    ],
)
def test_what_a_summary_is_about(regions, first):
    assert primary_region(hand_made_measurement(regions=regions)) == first


def test_an_empty_lesion_is_not_what_a_summary_is_about():
    measurement = hand_made_measurement(regions=(("Core", "lesion"), ("Whole brain", "brain")))
    measurement["regions"][0]["voxels"] = 0
    assert primary_region(measurement) == "Whole brain"


def test_the_main_sentences_are_about_the_acquired_map():
    measurement = hand_made_measurement({"a": 1.0, "b": 2.0}, {"true": 3.0, "acquired": 2.0})
    assert main_sentences(measurement) == ["Tumour: It is too low."] * 2
    assert main_sentences(hand_made_measurement({"a": 1.0}, {"true": 3.0})) == ["Tumour: It is too low."]
    assert main_sentences(hand_made_measurement({"a": 1.0}, {})) == []


@pytest.mark.parametrize(("doubtful", "applied", "offers"), [(True, False, 1), (True, True, 0), (False, False, 0)])
def test_normalising_is_offered_never_done_silently(doubtful, applied, offers):
    fields = {"nawm_mean": 7.0, "expected": 1.0, "doubtful": doubtful, "applied": applied}
    measurement = hand_made_measurement() | {"normalisation": {"acquired": fields}}
    assert len(normalisation_offers(measurement)) == offers


@pytest.mark.parametrize(("made_from", "warned"), [("T1", False), ("ROI", True), (None, False)])
def test_a_map_of_another_patient_is_warned_of(tmp_path, made_from, warned):
    folder = write_tiny_case(tmp_path / "p1")
    run = {}
    if made_from:
        run["inputs"] = {"T1": {"sha256": hashlib.sha256((folder / f"{made_from}.nii").read_bytes()).hexdigest()}}
    maps = [SyntheticMap("synthetic", folder / "synthetic.nii", run)]
    subject = describe_subject(Case.open(folder), maps, Choices())
    overlap = "The regions Whole lesion and enhancing overlap: they share 100 % of the smaller one."
    record = make_record(
        subject, measurement=hand_made_measurement(), placements=[], hotspots={}, reference=None,
        warnings=[overlap, "Hotspots overlap, in parentheses …", "Mind this.", "Mind this."],
    )  # fmt: skip
    assert record["warnings"][-1] == "Mind this."
    assert len(record["warnings"]) == 1 + warned
    assert any("made from other files than those of the case 'p1'" in text for text in record["warnings"]) == warned


# --- report ----------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Checks that tags are closed, and collects what a page refers to and its text."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.addresses, self.text = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []
        self.words = " ".join(self.text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]
        assert not [name for name, _ in attributes if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_the_report_stands_alone_and_is_well_formed(picture):
    page = Page(case_report(hand_made_record(), [ReportFigure("slices", picture, "The lesion.")]))
    assert page.addresses
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "url(" not in page.words
    assert "@import" not in page.words


def test_the_report_says_what_it_must():
    page = Page(case_report(hand_made_record(), []))
    for said in (
        "SYNTHETIC",
        "not for clinical use",
        "▲ Caution",
        "Tumour: It is too low.",
        "−0.50",
        "(−0.60 to −0.40)",
        "0 to 6 nrCBV, fixed",
        "0.25 nrCBV, fixed",
        "NAWM reference: label 4",
        "effective number of voxels",
        "As its file says.",
        "No run.json came with synthetic",
        "0" * 64,
        "Tumour, synthetic against acquired: It is small.",
    ):
        assert said in page.words
    assert "SIMULATED" not in page.words


def test_a_simulated_patient_is_called_so():
    record = hand_made_record(
        simulated=True, simulated_statement="SIMULATED patient: no evidence.", provenance={"synthetic": {"case": "p1"}}
    )
    page = Page(case_report(record, []))
    assert "SYNTHETIC · SIMULATED" in page.words
    assert "a score on simulated brains is no evidence of clinical fidelity" in page.words


def test_both_effective_numbers_stand_under_their_names():
    page = Page(case_report(hand_made_record(), []))
    cells = [text.strip() for text in page.text]
    assert "Eff. n for r" in cells
    assert "Eff. n for the difference" in cells
    assert {"14", "12"} <= set(cells)


@pytest.mark.parametrize(("compared", "shown"), [(100, "100"), (93, "93 of 100"), (0, "0 of 100")])
def test_the_voxels_that_were_compared_are_counted(compared, shown):
    measurement = hand_made_measurement() | {"plots": {"Tumour": [hand_made_plot(compared)]}}
    page = Page(case_report(hand_made_record(measurement=measurement), []))
    region = page.text.index("Tumour", page.text.index("Eff. n for r"))
    assert page.text[region + 1] == shown


EVIL = '<script>alert("1")</script>&amp;\'"'


def test_everything_is_escaped(picture):
    measurement = hand_made_measurement(
        {EVIL: 2.0}, {"acquired": 3.0}, regions=((EVIL, "lesion"), (EVIL + "2", "brain"))
    )
    measurement["words"][0]["text"] = EVIL
    measurement["reference"]["source"] = EVIL
    for region in measurement["regions"]:
        region["notes"] = [EVIL]
    run = {"case": EVIL, "model": {"name": EVIL, "version": EVIL}, "libraries": {EVIL: EVIL}, "warnings": [EVIL]}
    record = hand_made_record(
        case=EVIL,
        warnings=[EVIL],
        provenance={EVIL: run},
        files={EVIL: EVIL},
        alignment=[{"map": EVIL, "words": EVIL}],
        audit=[{"region": EVIL, "action": EVIL, "to": [1.0, 2.0, 3.0], "map": EVIL, "note": EVIL}],
        hotspots=[{"region": EVIL, "found_on": EVIL, "centre_ras_mm": [1, 2, 3], "radius_mm": 3.0, "means": {}}],
        measurement=measurement,
    )
    page = Page(case_report(record, [ReportFigure("plots", picture, EVIL)]))
    assert "script" not in page.tags
    assert page.words.count(EVIL) > 15


def test_a_report_without_an_acquired_map():
    page = Page(case_report(hand_made_record(measurement=hand_made_measurement({"synthetic": 2.0}, {})), []))
    assert "Nothing is compared" in page.words
    assert "The same regions on all maps and volumes" in page.words


def test_hotspots_stand_with_place_and_means():
    spot = {
        "region": "Hotspot 1 (synthetic)", "found_on": "synthetic", "centre_ras_mm": [-12.34, 5.0, 6.0],
        "radius_mm": 3.0, "means": {"synthetic": 4.321, "acquired": None},
    }  # fmt: skip
    page = Page(case_report(hand_made_record(hotspots=[spot]), []))
    assert "−12.3" in page.words
    assert "4.32" in page.words
    assert "–" in page.words

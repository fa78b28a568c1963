"""The figure of a processed series: what it shows, where left and right are, and that nothing is cut off."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion import figure as figure_module
from HierSynthLib.perfusion.figure import NRCBV_WINDOW, SLICES, perfusion_figure, save_figure
from HierSynthLib.perfusion.job import run_job
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, read_volume, write_volume
from Testing.unit.test_perfusion_head import make_head

STILL = {"motion": False}


@pytest.fixture(scope="module")
def head():
    return make_head((22, 27, 10), (6.4, 6.4, 9.6), frames=60)


@pytest.fixture(scope="module")
def process_into(head, tmp_path_factory):
    """Process the head with some parameters and give the folder."""
    files = tmp_path_factory.mktemp("series")
    write_volume(Volume(head.series.echoes[0], head.series.affine), files / "dsc.nii")
    white = (head.mask("white") & head.brain).astype(np.uint8)
    write_volume(Volume(white, head.series.affine), files / "white.nii")

    def process_into(out, *, nawm=True, **parameters):
        parameters = {"options": STILL, "te_s": [0.03], "tr_s": 1.5} | parameters
        parameters |= {"nawm": str(files / "white.nii")} if nawm else {}
        run_job(parameters | {"series": [str(files / "dsc.nii")], "output": str(out)}, Silent())
        return out

    return process_into


@pytest.fixture(scope="module")
def folder(process_into, tmp_path_factory):
    return process_into(tmp_path_factory.mktemp("out") / "full", options={}, simulated=True, flip_deg=30)


def words_of(figure):
    from matplotlib.text import Text

    return [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]


def assert_nothing_is_cut_off(figure):
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    # Labels of ticks beyond the ends of an axis are not drawn.
    ticks = {label for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())}
    for text in set(words_of(figure)) - ticks:
        box = text.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= width, text.get_text()
        assert 0 <= box.y0 < box.y1 <= height, text.get_text()


def pictures(figure):
    """The array of each picture, by the title of its row."""
    found = {}
    for axis in figure.axes:
        bold = [text.get_text() for text in axis.texts if text.get_fontweight() == "bold"]
        if bold and axis.images:
            found[bold[0]] = axis.images[0]
    return found


def test_it_shows_maps_curves_aif_and_quality(folder):
    figure = perfusion_figure(folder)
    shown = pictures(figure)
    assert list(shown) == [
        "nrCBV, leakage-corrected",
        "CBV: absolute scale uncertain (AIF)",
        "CBF: absolute scale uncertain (AIF)",
        "MTT",
        "Tmax",
        "K2: leakage (red: T1, blue: T2*)",
    ]
    assert shown["nrCBV, leakage-corrected"].get_clim() == (0, NRCBV_WINDOW)
    k2 = read_volume(folder / "K2.nii.gz").array
    assert shown["K2: leakage (red: T1, blue: T2*)"].get_array().max() <= 1000 * k2.max()
    low, high = shown["K2: leakage (red: T1, blue: T2*)"].get_clim()
    assert low == -high < 0
    assert 0.5 < high / (1000 * np.percentile(np.abs(k2[k2 != 0]), 98)) < 2
    said = [text.get_text() for text in words_of(figure)]
    for words in (
        "10⁻³/s",
        "ml/100 g",
        "ml/100 g/min",
        "1 = white matter",
        "Place of the AIF",
        "Warnings",
        "motion (mm)",
    ):
        assert words in said
    title = next(words for words in said if words.startswith("DSC perfusion: "))
    assert "TE 30 ms, TR 1.5 s, flip 30°" in title
    assert "SIMULATED" in title
    titles = {axis.get_title(): axis for axis in figure.axes}
    with (folder / "curves.csv").open(encoding="utf-8", newline="") as file:
        aif = [float(row["aif_per_s"]) for row in csv.DictReader(file)]
    assert max(titles["Arterial input function"].lines[0].get_ydata()) == max(aif)
    assert_nothing_is_cut_off(figure)


def test_the_colour_bars_say_where_values_lie_beyond_them(folder):
    figure = perfusion_figure(folder)
    images = [axis.images[0] for axis in figure.axes if axis.images and axis.get_title() != "Place of the AIF"]
    ends = set()
    for first in range(0, len(images), SLICES):
        row = images[first : first + SLICES]
        values = np.concatenate([image.get_array().compressed() for image in row])
        low, high = row[0].get_clim()
        expected = {(True, True): "both", (True, False): "min", (False, True): "max", (False, False): "neither"}
        bar = next(image.colorbar for image in row if image.colorbar)
        assert bar.extend == expected[bool((values < low).any()), bool((values > high).any())]
        ends.add(bar.extend)
    assert len(ends) > 1


def test_the_patients_left_is_on_the_right(head, folder):
    # The tumour of the head lies at x = +32 mm (RAS: right) and is where K2 is highest.
    figure = perfusion_figure(folder)
    rows = [axis for axis in figure.axes if axis.images and axis.images[0].get_cmap().name.startswith("RdBu")]
    column_means = [np.nan_to_num(axis.images[0].get_array().filled(0)).mean(axis=0) for axis in rows]
    means = max(column_means, key=lambda values: values.max())
    assert np.argmax(means) < len(means) / 2
    letters = {text.get_text(): text.get_position()[0] for text in rows[0].texts if len(text.get_text()) == 1}
    assert letters["R"] < letters["L"]


def test_without_aif_and_white_matter(process_into, tmp_path):
    folder = process_into(tmp_path / "out", nawm=False, options=STILL | {"aif_peak_snr": 1e6})
    figure = perfusion_figure(folder)
    assert list(pictures(figure)) == [
        "standardised rCBV, leakage-corrected",
        "rCBV, not leakage-corrected",
        "K2: leakage (red: T1, blue: T2*)",
        "TTP",
    ]
    said = " ".join(text.get_text() for text in words_of(figure))
    assert "None was found" in said
    assert "There is no nrCBV" in said
    assert_nothing_is_cut_off(figure)


def test_without_leakage_correction_there_is_no_k2(process_into, tmp_path):
    folder = process_into(tmp_path / "out", options=STILL | {"leakage": "none"})
    figure = perfusion_figure(folder)
    assert "PSR" in pictures(figure)
    assert not any("K2" in text.get_text() or "leakage-corrected" in text.get_text() for text in words_of(figure))


@pytest.mark.parametrize(
    ("cbv", "cbf", "title", "line"),
    [
        (3.5, 45.0, "CBV", "3.5 ml/100 g"),
        (15.0, 60.0, "CBV: absolute scale uncertain (AIF)", "15 ml/100 g, implausible"),
        (4.0, 150.0, "CBV: absolute scale uncertain (AIF)", "4 ml/100 g, implausible"),
    ],
)
def test_absolute_maps_are_headed_by_how_far_they_can_be_right(folder, tmp_path, cbv, cbf, title, line):
    copy = shutil.copytree(folder, tmp_path / "copy")
    quality = json.loads((copy / "qc.json").read_text("utf-8"))
    quality["numbers"] |= {"median_cbv": cbv, "median_cbf": cbf}
    (copy / "qc.json").write_text(json.dumps(quality), "utf-8")
    figure = perfusion_figure(copy)
    assert list(pictures(figure))[1:3] == [title, title.replace("CBV", "CBF")]
    assert line in [text.get_text() for text in words_of(figure)]
    assert_nothing_is_cut_off(figure)


def test_many_warnings_have_room(folder, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    quality = json.loads((copy / "qc.json").read_text("utf-8"))
    quality["warnings"] = [f"{number}. " + "A long warning that goes on and on. " * 9 for number in range(12)]
    (copy / "qc.json").write_text(json.dumps(quality), "utf-8")
    figure = perfusion_figure(copy)
    assert_nothing_is_cut_off(figure)
    figure.draw_without_rendering()
    warnings = next(text for text in words_of(figure) if text.get_text().startswith("• 0."))
    plots = [axis.get_tightbbox().y0 for axis in figure.axes if axis.get_title() or axis.get_xlabel()]
    assert warnings.get_window_extent().y1 < min(plots)


def test_the_same_figure_is_the_same_file(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(figure_module, "DPI", 50)
    paths, again = (save_figure(perfusion_figure(folder), tmp_path / stem) for stem in ("figure", "again"))
    for kind in ("png", "svg"):
        assert again[kind].read_bytes() == paths[kind].read_bytes()
    with Image.open(paths["png"]) as image:
        assert image.size[0] > 700
        assert np.asarray(image.convert("L")).std() > 20
    assert Path(paths["svg"]).read_text("utf-8").lstrip().startswith("<?xml")


@pytest.mark.parametrize("name", ["maps.json", "qc.json", "run.json"])
def test_a_folder_that_is_no_result(tmp_path, name):
    (tmp_path / name).write_text("[")
    with pytest.raises(InputError, match="Give the folder of a finished perfusion processing"):
        perfusion_figure(tmp_path)

"""The overview figure: the slice that matters, the right way round, values that belong to their place."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from HierSynthLib.case import Case, Role
from HierSynthLib.errors import InputError
from HierSynthLib.fidelity import figures
from HierSynthLib.fidelity.figures import case_figure, choose_slice
from HierSynthLib.progress import Silent
from HierSynthLib.synthesis.job import Synthesizer
from HierSynthLib.volume import Volume
from Testing.conftest import write_tiny_model

# Axes of the stored array run to posterior, superior and left, 2 mm apart: nothing about it is canonical.
AFFINE = np.array([[0, 0, -2.0, 40], [-2.0, 0, 0, 50], [0, 2.0, 0, -30], [0, 0, 0, 1]])
SHAPE = (50, 30, 40)


def index_of(ras):
    return tuple(np.round(np.linalg.inv(AFFINE) @ [*ras, 1])[:3].astype(int))


def brain_volume():
    brain = np.zeros(SHAPE, np.uint8)
    brain[10:40, 5:25, 8:32] = 1
    return Volume(brain, AFFINE)


def test_the_slice_with_the_largest_lesion_is_shown_radiologically():
    roi, marked = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.float32)
    low, high = (0.0, 0.0, -10.0), (0.0, 0.0, 6.0)
    roi[index_of(low)] = 1
    i, j, k = index_of(high)
    roi[i - 1 : i + 2, j, k - 1 : k + 2] = 1
    roi[10:40, index_of((0, 0, -16))[1], 8:32] = 4  # the reference region, which is not lesion
    chosen = choose_slice(brain_volume(), Volume(roi, AFFINE), [1])
    assert abs(chosen.grid.centre[2] - 6.0) <= 1.0

    marked[index_of((-16.0, 20.0, 6.0))] = 1.0  # left (−x) and in front (+y)
    picture = chosen.of(Volume(marked, AFFINE))
    row, column = np.unravel_index(np.argmax(picture), picture.shape)
    assert row < picture.shape[0] / 2, "anterior is up"
    assert column > picture.shape[1] / 2, "the patient's left is on the right"


def test_without_a_lesion_the_middle_of_the_brain_is_shown():
    chosen = choose_slice(brain_volume(), None, [])
    brain_z = [-30 + 2 * j for j in (5, 24)]
    assert abs(chosen.grid.centre[2] - np.mean(brain_z)) <= 1.5
    assert chosen.of(brain_volume(), "nearest").mean() > 0.5, "cropped to the brain"


@pytest.fixture(scope="module")
def maps(small_case, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figure")
    model = write_tiny_model(folder / "models" / "tiny")
    inputs = {name: str(small_case / f"{name}.nii.gz") for name in ("T1", "T2", "FLAIR")}
    inputs["brain_mask"] = str(small_case / "brain_mask_true.nii.gz")  # need not be found here
    Synthesizer().run(
        {"inputs": inputs, "output": str(folder / "maps"), "model": str(model), "device": "cpu", "register": False},
        Silent(),
    )
    return folder / "maps"


def drawn(monkeypatch, case, maps, out):
    """The figure as a file, and its panels."""
    rows = []
    draw = figures._draw
    monkeypatch.setattr(figures, "_draw", lambda panels, title: (rows.append((panels, title)), draw(panels, title))[1])
    case_figure(case, maps, out)
    (panels, title) = rows[0]
    return {panel.title: panel for row in panels for panel in row}, title


def test_the_figure_shows_all_maps_with_units(monkeypatch, small_case, maps, tmp_path):
    panels, title = drawn(monkeypatch, small_case, maps, tmp_path / "figure.png")
    assert "SYNTHETIC" in title
    assert "SIMULATED" in title
    assert list(panels) == [
        *("T1", "T2", "FLAIR", "ADC"),
        *("1  Global map (GSM)", "2  Residual (LSM)", "SYNTHETIC CBV = 1 + 2", "Uncertainty (80 % half-width)"),
        *("Acquired CBV", "Synthetic − acquired", "True CBV", "Synthetic − true"),
    ]
    synthetic = panels["SYNTHETIC CBV = 1 + 2"].picture
    np.testing.assert_allclose(
        synthetic, panels["1  Global map (GSM)"].picture + panels["2  Residual (LSM)"].picture, atol=1e-5
    )
    inside = panels["Synthetic − acquired"].picture != 0
    np.testing.assert_allclose(
        panels["Synthetic − acquired"].picture[inside], (synthetic - panels["Acquired CBV"].picture)[inside], atol=1e-5
    )
    assert panels["SYNTHETIC CBV = 1 + 2"].style == panels["Acquired CBV"].style, "one window for both"
    assert {panel.bar for panel in panels.values()} == {"signal (a.u.)", "10⁻³ mm²/s", "nrCBV", "ΔnrCBV"}
    picture = image.imread(tmp_path / "figure.png")
    assert picture.shape[1] > 1200
    assert picture.std() > 0.1


def test_a_patient_without_maps_to_compare_with(monkeypatch, small_case, maps, tmp_path):
    case = Case.read(small_case)
    kept = {role: path for role, path in case.files.items() if role in (Role.T1, Role.T2)}
    other = tmp_path / "case"
    other.mkdir()
    Case(id="A", files=kept, simulated=False).write(other)
    panels, title = drawn(monkeypatch, other, maps, tmp_path / "figure.svg")
    assert "SIMULATED" not in title
    assert list(panels)[:3] == ["T1", "T2", "1  Global map (GSM)"]
    assert not any("acquired" in name.lower() for name in panels)
    assert "SYNTHETIC" in (tmp_path / "figure.svg").read_text()


def test_a_result_that_cannot_be_read_is_named(small_case, maps, tmp_path):
    broken = tmp_path / "maps"
    shutil.copytree(maps, broken)
    (broken / json.loads((broken / "run.json").read_text())["outputs"]["global"]).write_text("no image")
    with pytest.raises(InputError, match=r"CBV_global\.nii\.gz"):
        case_figure(small_case, broken, tmp_path / "figure.png")
    with pytest.raises(InputError, match=r"run\.json"):
        case_figure(small_case, Path(tmp_path / "absent"), tmp_path / "figure.png")
    assert not (tmp_path / "figure.png").exists()

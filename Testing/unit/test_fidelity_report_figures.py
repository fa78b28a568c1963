"""Plots and slices of a patient's report."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from HierSynthLib.fidelity.regions.shapes import Region, Sphere
from HierSynthLib.fidelity.report.key_slices import PlacedMap, Scene, SliceDrawer, best_hotspot
from HierSynthLib.fidelity.report.output import _plot_figures
from HierSynthLib.fidelity.report.plots import pair_figure, save_figure, statement
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, read_volume, write_volume
from Testing.hand_made_fidelity import (
    agreement_values,
    hand_made_measurement,
    hand_made_plot,
    hand_made_record,
)

# --- figures ---------------------------------------------------------------------------------------------------------


def plot_of(synthetic, acquired):
    edges = np.linspace(0, 6, 13)
    difference = synthetic - acquired
    bias, spread = difference.mean(), 1.96 * difference.std()
    return {
        "synthetic": "synthetic", "acquired": "acquired",
        "histogram": {
            "edges": edges.tolist(), "synthetic": np.histogram(synthetic, edges)[0].tolist(),
            "acquired": np.histogram(acquired, edges)[0].tolist(),
        },
        "scatter": {"synthetic": synthetic.tolist(), "acquired": acquired.tolist()},
        "bland_altman": {
            "mean": ((synthetic + acquired) / 2).tolist(), "difference": difference.tolist(), "bias": bias,
            "lower": bias - spread, "upper": bias + spread,
        },
    }  # fmt: skip


def test_the_plots_show_the_data(tmp_path):
    rng = np.random.default_rng(1)
    acquired = rng.uniform(0, 5, 300)
    plot = plot_of(acquired * 0.8, acquired)
    figure = pair_figure("Tumour", plot, agreement_values(-0.5), statement(True), 6.0)
    left, middle, right = figure.axes
    np.testing.assert_allclose(middle.collections[0].get_offsets(), np.stack([acquired, acquired * 0.8], axis=1))
    assert [line.get_label() for line in middle.lines] == ["identity"]
    np.testing.assert_allclose(right.collections[0].get_offsets()[:, 1], -0.2 * acquired)
    written = " ".join(text.get_text() for axes in figure.axes for text in axes.texts)
    assert "r 0.80 (0.60 to 0.90)" in written
    assert f"bias −{0.2 * acquired.mean():.2f}" in written
    assert sum(left.patches[0].get_data().values) == pytest.approx(100)
    assert "SIMULATED patient" in figure.get_supxlabel()
    paths = save_figure(figure, tmp_path / "figures" / "a")
    assert Image.open(paths["png"]).width > 1000
    assert paths["svg"].read_text("utf-8").rstrip().endswith("</svg>")


def test_plots_of_next_to_nothing(tmp_path):
    for acquired in (np.array([]), np.full(50, 2.0)):
        plot = plot_of(acquired, acquired) if acquired.size else plot_of(np.zeros(1), np.zeros(1))
        if not acquired.size:
            plot["scatter"] = {"synthetic": [], "acquired": []}
            plot["bland_altman"] = {"mean": [], "difference": [], "bias": None, "lower": None, "upper": None}
            plot["histogram"] = {"edges": [0.0, 1.0], "synthetic": [0], "acquired": [0]}
        save_figure(pair_figure("T", plot, dict.fromkeys(agreement_values(0)), statement(False), 6.0), tmp_path / "a")


def test_a_region_without_common_voxels_has_no_plots(tmp_path):
    measurement = hand_made_measurement(regions=(("Tumour", "lesion"), ("Oedema", "lesion")))
    measurement["plots"] = {"Tumour": [hand_made_plot(0)], "Oedema": [hand_made_plot(5)]}
    figures = list(_plot_figures(tmp_path, hand_made_record(measurement=measurement), Silent()))
    assert [figure.caption.partition(":")[0] for figure in figures] == ["Oedema"]


def test_a_dollar_in_a_name_is_no_formula(tmp_path, scene):
    name = r"a $\frac$ b"
    plot = plot_of(np.linspace(0, 3, 20), np.linspace(0, 4, 20)) | {"synthetic": name}
    figure = pair_figure(name, plot, agreement_values(1), "x", 6.0)
    assert name in save_figure(figure, tmp_path / "pair")["svg"].read_text("utf-8")
    drawer = SliceDrawer(scene)
    paths = save_figure(drawer.draw(drawer.middle(), name, "note"), tmp_path / "slice")
    assert name in paths["svg"].read_text("utf-8")


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    plot = plot_of(np.linspace(0, 3, 20), np.linspace(0, 4, 20))
    first, second = (
        save_figure(pair_figure("T", plot, agreement_values(1), "x", 6.0), tmp_path / name / "figure")
        for name in ("a", "b")
    )
    for kind in ("png", "svg"):
        assert first[kind].read_bytes() == second[kind].read_bytes()


# --- slices ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def scene(tmp_path):
    """Maps of 3 mm with a bright cube, centre R 18, A 24, S 9 mm; the acquired one is moved by 6 mm to the left."""
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = [-60, -72, -45]
    cube = np.ones((41, 49, 31), np.float32)
    cube[24:29, 30:35, 17:20] = 5.0
    write_volume(Volume(cube, affine), tmp_path / "synthetic.nii")
    write_volume(Volume(np.roll(cube, -2, axis=0) - 1, affine), tmp_path / "acquired.nii")
    write_volume(Volume(np.ones(cube.shape, np.uint8), affine), tmp_path / "brain.nii")
    move = np.eye(4)
    move[0, 3] = -6.0
    hotspot = Region("Hotspot 1", "hotspot", (Sphere([18, 24, 9], 3.0),))
    small = Region("Hotspot 2", "hotspot", (Sphere([-18, 24, 9], 3.0),))
    return Scene(
        anatomy=PlacedMap("T1", tmp_path / "synthetic.nii"),
        synthetic=PlacedMap("synthetic", tmp_path / "synthetic.nii"),
        acquired=(PlacedMap("acquired", tmp_path / "acquired.nii", move),),
        uncertainty=None,
        regions=(hotspot, small),
        brain=tmp_path / "brain.nii",
        window=6.0,
    )


def test_a_slice_shows_the_right_place(scene):
    drawer = SliceDrawer(scene)
    hotspot = scene.regions[0]
    chosen = drawer.through(hotspot)
    assert abs(chosen.grid.affine[2, 3] - 9) <= 1
    figure = drawer.draw(chosen, "Hotspot", "note")
    anatomy, acquired, synthetic, difference = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in (anatomy, acquired, synthetic, difference)] == [
        "T1", "acquired", "SYNTHETIC", "synthetic − acquired",
    ]  # fmt: skip
    picture = synthetic.images[0].get_array()
    rows, columns = np.nonzero(picture > 4)
    assert columns.mean() < picture.shape[1] / 2  # patient right is on the left, beside the letter R
    assert rows.mean() < picture.shape[0] / 2  # anterior is above
    texts = {text.get_text(): text.get_position()[0] for text in synthetic.texts}
    assert texts["R"] < texts["L"]
    circle = synthetic.patches[0]
    assert circle.center == pytest.approx((columns.mean(), rows.mean()), abs=1.0)
    assert circle.radius == pytest.approx(3.0, abs=0.3)
    assert [axes.images[0].get_clim() for axes in (acquired, synthetic)] == [(0.0, 6.0)] * 2
    shown = difference.images[0].get_array()
    assert shown[rows, columns].mean() == pytest.approx(1.0, abs=0.05)  # in place, the maps differ by 1 everywhere
    assert len([axes for axes in figure.axes if axes.get_ylabel() == "nrCBV"]) == 2


def shown_in(figure, title):
    """The values of a picture; NaN where it is grey."""
    (axes,) = [axes for axes in figure.axes if axes.get_title() == title]
    return np.ma.filled(axes.images[0].get_array().astype(float), np.nan)


@pytest.mark.parametrize("broken", ["acquired", "synthetic"])
def test_where_a_map_has_no_value_there_is_no_difference(tmp_path, scene, broken):
    volume = read_volume(tmp_path / f"{broken}.nii")
    values = volume.array.copy()
    values[:, :, :] = np.where(np.arange(values.shape[1])[None, :, None] > 30, np.nan, values)  # anterior of A 19 mm
    write_volume(Volume(values, volume.affine), tmp_path / f"{broken}-nan.nii")
    changed = {
        "acquired": {"acquired": (replace(scene.acquired[0], path=tmp_path / "acquired-nan.nii", transform=None),)},
        "synthetic": {
            "synthetic": PlacedMap("synthetic", tmp_path / "synthetic-nan.nii"),
            "acquired": (replace(scene.acquired[0], transform=None),),
        },
    }[broken]
    drawer = SliceDrawer(replace(scene, **changed))
    figure = drawer.draw(drawer.through(scene.regions[0]), "Hotspot", "note")
    difference = shown_in(figure, "synthetic − acquired")
    title = "SYNTHETIC" if broken == "synthetic" else "acquired"
    rows = difference.shape[0]
    for picture in (difference, shown_in(figure, title)):
        assert np.isnan(picture[: rows // 5]).all()  # anterior is above
        assert np.isfinite(picture[rows // 2 :]).all()
    np.testing.assert_allclose(difference[-20:, 5:-5], 1.0, atol=1e-5)
    assert "Grey area: the map has no value" in figure.get_supxlabel()


def test_outside_the_field_of_view_there_is_no_difference(tmp_path, scene):
    volume = read_volume(tmp_path / "acquired.nii")
    write_volume(Volume(volume.array[:, :25], volume.affine), tmp_path / "short.nii")
    short = replace(scene.acquired[0], path=tmp_path / "short.nii", transform=None)
    drawer = SliceDrawer(replace(scene, acquired=(short,)))
    difference = shown_in(drawer.draw(drawer.through(scene.regions[0]), "T", "note"), "synthetic − acquired")
    assert np.isnan(difference[: difference.shape[0] // 3]).all()
    np.testing.assert_allclose(difference[-20:, 5:-5], 1.0, atol=1e-5)


def test_the_slice_of_a_region_is_its_largest(scene):
    cone = Region(
        "Lesion", "lesion", tuple(Sphere([0, 0, height], radius) for height, radius in ((-20, 4), (15, 9), (30, 5)))
    )  # fmt: skip
    assert SliceDrawer(scene).through(cone).grid.affine[2, 3] == pytest.approx(15, abs=1)
    assert SliceDrawer(scene).through(Region("Far", "lesion", (Sphere([500, 0, 0], 3.0),))) is None


def test_the_best_hotspot_is_that_of_the_highest_mean(scene):
    hotspots = scene.regions
    assert best_hotspot(hotspots, {"Hotspot 1": 2.0, "Hotspot 2": 5.0}) is hotspots[1]
    assert best_hotspot(hotspots, {"Hotspot 1": None}) is None

"""The phantom's physics: signal equations, noise, sampling, tissue table, tubes."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import HierSynthLib.phantom as package
from HierSynthLib.phantom.fields import (
    FOV_MM,
    Axes,
    interpolating_spline,
    isotropic_axes,
    lattice_axes,
    random_spline,
    stream,
)
from HierSynthLib.phantom.scanner import ImageGrid, Sampler
from HierSynthLib.phantom.signal import (
    apparent_diffusion,
    block_mean,
    diffusion_weighted,
    inversion_recovery,
    rician,
    spin_echo,
)
from HierSynthLib.phantom.tissue import tissue_table
from HierSynthLib.phantom.vessels import Tubes, stamp


def test_spin_echo_of_grey_matter_by_hand():
    # 0.8 · (1 − e^(−600/1400)) · e^(−10/100) = 0.8 · 0.3485605 · 0.9048374
    assert spin_echo(0.8, 1400, 100, TR=600, TE=10) == pytest.approx(0.8 * 0.348561 * 0.904837, rel=1e-5)


def test_inversion_recovery_is_null_where_the_equation_says():
    T1, TR = 4300.0, 9000.0
    null = -T1 * np.log((1 + np.exp(-TR / T1)) / 2)  # from 1 − 2e^(−TI/T1) + e^(−TR/T1) = 0
    assert inversion_recovery(1, T1, 1500, TR=TR, TE=120, TI=null) == pytest.approx(0, abs=1e-12)
    assert null == pytest.approx(2500, abs=60)  # the protocol's TI nulls CSF


@settings(deadline=None)
@given(adc=st.floats(0.05, 3.5), s0=st.floats(0.2, 50), b=st.floats(100, 2000))
def test_adc_comes_back_from_the_two_weightings(adc, s0, b):
    weighted = diffusion_weighted(np.array([s0]), adc, b)
    np.testing.assert_allclose(weighted, s0 * np.exp(-b * adc / 1000))
    if weighted[0] > 0.01:
        np.testing.assert_allclose(apparent_diffusion(np.array([s0]), weighted, 0.1, b), adc, rtol=1e-9)


def test_adc_is_zero_without_signal():
    assert apparent_diffusion(np.array([0.05, 0.0, 1.0]), np.array([0.01, 0.0, 0.0]), 0.1).tolist() == [0, 0, 0]


@pytest.mark.parametrize("signal", [0.0, 1.0, 20.0])
def test_noise_is_rician(signal):
    sigma = 2.0
    values = rician(np.full(400_000, signal), sigma, np.random.default_rng(1))
    assert np.mean(values**2) == pytest.approx(signal**2 + 2 * sigma**2, rel=0.01)  # second moment of Rice
    if signal == 0:
        assert np.mean(values) == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)  # Rayleigh
    if signal == 20:
        assert np.std(values) == pytest.approx(sigma, rel=0.02)  # Gaussian limit


def test_tissue_values_are_those_of_the_literature_table():
    table = tissue_table()
    expected = {
        "grey_matter": (1400, 100, 0.80, 4.0),
        "white_matter": (850, 75, 0.76, 2.0),
        "csf": (4300, 1500, 3.0, 0.0),
        "oedema": (1400, 140, 1.4, 1.5),
        "necrosis": (2500, 250, 2.2, 0.4),
    }
    for name, values in expected.items():
        assert values == (table[name].T1, table[name].T2, table[name].ADC, table[name].CBV)
    assert table["enhancing"].CBV == 8
    assert 0.96 <= table["enhancing"].ADC <= 1.16
    assert 1.4 <= table["low_grade"].ADC <= 1.78


def test_design_values_are_named_as_such():
    content = json.loads((Path(package.__file__).parent / "tissues.json").read_text(encoding="utf-8"))
    assert "design values" in content["sources"]
    for name in ("csf", "oedema", "necrosis", "fat"):
        assert "T2" in content["tissues"][name]["design"]
    assert set(content["tissues"]["grey_matter"]["design"]) == {"PD"}


def test_block_mean_is_the_mean_of_blocks():
    values = np.random.default_rng(0).normal(size=(4, 6, 10))
    result = block_mean(values, (2, 1, 5))
    assert result.shape == (2, 6, 2)
    assert result[1, 3, 1] == pytest.approx(values[2:4, 3, 5:].mean())


def _reference(spacing: float, frame: np.ndarray) -> ImageGrid:
    return ImageGrid.covering((spacing,) * 3, frame)


def _affine(degrees: float, shift: tuple[float, float, float]) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    result = np.eye(4)
    result[:2, :2] = [[c, -s], [s, c]]
    result[:3, 3] = shift
    return result


def test_thick_slices_average_over_their_thickness():
    reference = _reference(2.0, np.eye(4))
    k = np.arange(reference.shape[2])
    signal = np.broadcast_to(np.sin(k / 3.0), reference.shape)
    thick = ImageGrid.covering((2.0, 2.0, 6.0), np.eye(4))
    measured = Sampler(reference.affine, thick, np.eye(4)).planes(signal, slice(0, 5))
    expected = np.sin(k / 3.0).reshape(-1, 3).mean(axis=1)
    np.testing.assert_allclose(measured[2, 7], expected, atol=1e-12)


def test_sampling_follows_grid_and_movement():
    reference = _reference(4.0, _affine(12, (3, -5, 8)))
    voxels = np.indices(reference.shape).reshape(3, -1)
    ras = reference.affine[:3, :3] @ voxels + reference.affine[:3, 3:]
    slope = np.array([0.7, -0.3, 0.2])
    signal = (slope @ ras).reshape(reference.shape)  # linear in space: linear interpolation is exact
    grid, movement = _reference(4.0, _affine(-7, (1, 2, 3))), _affine(2.0, (1.5, -1.0, 0.5))
    measured = Sampler(reference.affine, grid, movement).planes(signal, slice(20, 24))
    inner = np.array([[22], [30], [25]])
    here = grid.affine[:3, :3] @ inner + grid.affine[:3, 3:]
    before = np.linalg.inv(movement) @ np.vstack([here, [[1]]])  # where that tissue was in the reference position
    assert measured[2, 30, 25] == pytest.approx((slope @ before[:3]).item(), abs=1e-9)


def test_agreeing_grids_are_not_interpolated():
    reference = _reference(6.0, _affine(12, (3, -5, 8)))
    signal = np.random.default_rng(0).normal(size=reference.shape)
    measured = Sampler(reference.affine, reference, np.eye(4)).planes(signal, slice(3, 9))
    np.testing.assert_array_equal(measured, signal[3:9])


def test_spline_agrees_with_scipy_at_points_and_on_grids():
    nodes = lattice_axes(20.0)
    values = np.random.default_rng(3).normal(size=nodes.shape)
    spline = interpolating_spline(values, 20.0)
    np.testing.assert_allclose(spline.on(nodes)[2:-2, 2:-2, 2:-2], values[2:-2, 2:-2, 2:-2], atol=1e-9)
    axes = Axes(np.array([-30.0, 3.3]), np.array([-55.0, 0.0, 71.0]), np.array([12.0, 13.0]))
    np.testing.assert_allclose(spline.on(axes).ravel(), spline.at(axes.points()), atol=1e-9)


def test_random_fields_have_unit_variance_and_are_the_same_on_every_grid():
    field = random_spline(stream(5, "test"), 6.0)
    fine, coarse = isotropic_axes(2.0), isotropic_axes(8.0)
    assert np.std(field.on(fine)) == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(field.on(coarse).ravel(), field.at(coarse.points()), atol=1e-9)
    assert not np.allclose(random_spline(stream(5, "other"), 6.0).coefficients, field.coefficients)


@settings(deadline=None)
@given(spacing=st.floats(0.8, 6.0))
def test_grids_cover_the_field_of_view_around_its_centre(spacing):
    axes = isotropic_axes(spacing)
    for positions, extent in zip((axes.i, axes.j, axes.k), FOV_MM, strict=True):
        assert positions.size * spacing >= extent - 1e-6
        assert positions.mean() == pytest.approx(0, abs=1e-9)
        np.testing.assert_allclose(np.diff(positions), spacing)


@pytest.mark.parametrize("spacing", [1.0, 2.0])
@pytest.mark.parametrize("radius", [0.3, 0.8, 2.5, 4.0])
def test_tubes_keep_their_volume(spacing, radius):
    z = np.arange(-40, 40, 0.3)
    tube = Tubes(np.stack([0.2 * z + 1.3, 0.1 * z - 3.1, z]), np.full(z.size, radius))
    length = z[-1] - z[0]
    volume = stamp(tube, isotropic_axes(spacing)).sum() * spacing**3
    expected = np.pi * radius**2 * length * np.sqrt(1 + 0.2**2 + 0.1**2)
    assert volume == pytest.approx(expected, rel=0.25 if radius < spacing else 0.12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_streams_depend_on_seed_and_name(seed):
    draws = {tuple(stream(s, n).integers(0, 2**62, 2)) for s in (seed, seed + 1) for n in ("a", "b")}
    assert len(draws) == 4
    assert stream(seed, "a").integers(0, 2**62) == stream(seed, "a").integers(0, 2**62)

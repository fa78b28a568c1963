"""Gamma-variate fit: against curves of known parameters and SciPy's curve fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import curve_fit

from HierSynthLib.perfusion.gamma import fit_gamma_variate
from Testing.unit.test_perfusion_simulation import TR_S, gamma_variate

TIMES = np.arange(60) * TR_S


@given(st.floats(2, 12), st.floats(18.5, 24), st.floats(1.5, 6), st.floats(1.0, 2.5))
@settings(max_examples=40, deadline=None)
def test_known_curves_are_recovered(height, start, shape, width):
    curve = height * gamma_variate(TIMES, start, shape, width)
    fit = fit_gamma_variate(curve[None].astype(np.float32), TR_S, 11, 0.05)
    true, _ = quad(lambda t: height * gamma_variate(t, start, shape, width), start, start + 200, limit=400)
    assert fit.fitted[0]
    assert fit.area[0] == pytest.approx(true, rel=0.02)
    np.testing.assert_allclose(fit.curves(TIMES)[0], curve, atol=0.02 * height)


def test_noisy_curves_agree_with_scipy():
    rng = np.random.default_rng(0)
    curves = 8 * gamma_variate(TIMES, 20, 3, 1.5) + rng.normal(scale=0.15, size=(12, 60))
    fit = fit_gamma_variate(curves.astype(np.float32), TR_S, 11, 0.1)
    for row, curve in enumerate(curves):
        peak = 11 + int(np.argmax(curve[11:]))
        end = peak + 1 + int(np.argmax(curve[peak + 1 :] <= 0.1 * curve[peak]))
        frames = slice(11, end + 1)

        def model(t, height, start, log_shape, log_width):
            return height * gamma_variate(t, start, np.exp(log_shape), np.exp(log_width))

        found, _ = curve_fit(model, TIMES[frames], curve[frames], p0=[8, 20, np.log(3), np.log(1.5)], maxfev=5000)
        np.testing.assert_allclose(fit.curves(TIMES[frames])[row], model(TIMES[frames], *found), atol=0.03)


def test_recirculation_is_left_out_of_the_area():
    first = 8 * gamma_variate(TIMES, 20, 3, 1.5)
    both = first + 1.0 * gamma_variate(TIMES, 32, 3, 3)
    fit = fit_gamma_variate(both[None].astype(np.float32), TR_S, 11, 0.4)
    expected = np.trapezoid(8 * gamma_variate(np.arange(0, 90, 0.01)), dx=0.01)
    assert fit.area[0] == pytest.approx(expected, rel=0.06)
    assert both.sum() * TR_S > 1.2 * expected


def test_what_has_no_bolus_is_not_fitted():
    rng = np.random.default_rng(1)
    curves = np.stack([rng.normal(scale=1, size=60), np.zeros(60), -gamma_variate(TIMES)])
    fit = fit_gamma_variate(curves.astype(np.float32), TR_S, 11, 0.4)
    assert not fit.fitted.any()
    np.testing.assert_array_equal(fit.area, 0)


def test_voxels_do_not_depend_on_their_neighbours():
    rng = np.random.default_rng(2)
    heights = rng.uniform(2, 20, 30)
    curves = heights[:, None] * gamma_variate(TIMES, 20, 3, 1.5) + rng.normal(scale=0.2, size=(30, 60))
    together = fit_gamma_variate(curves.astype(np.float32), TR_S, 11, 0.4)
    alone = [fit_gamma_variate(curve[None].astype(np.float32), TR_S, 11, 0.4).area[0] for curve in curves]
    np.testing.assert_allclose(together.area, alone, rtol=1e-6)

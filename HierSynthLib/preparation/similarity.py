"""Mutual information of two images and its maximum over a transform (SimpleITK)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from HierSynthLib.formats.common import LPS
from HierSynthLib.preparation.grid import Grid
from HierSynthLib.progress import Reporter

# Lengths inside SimpleITK are in units of about the radius of a head. So a step of the optimiser moves the surface of
# the head about as far whether it shifts, turns or stretches it, and steps need no scaling.
UNIT_MM = 80.0
_BINS = 32
_SEED = 20


def to_image(array: NDArray[Any], grid: Grid) -> Any:
    """SimpleITK image (LPS, units of `UNIT_MM`) of an array (I, J, K) on a grid."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    lps = LPS @ grid.affine
    image.SetSpacing((grid.spacing / UNIT_MM).tolist())
    image.SetOrigin((lps[:3, 3] / UNIT_MM).tolist())
    image.SetDirection((lps[:3, :3] / grid.spacing).ravel().tolist())
    return image


def to_units(vector: NDArray[np.float64]) -> list[float]:
    """Point or shift for SimpleITK (LPS, units of `UNIT_MM`) from RAS mm."""
    return [float(x) for x in LPS[:3, :3] @ vector / UNIT_MM]


def to_ras(transform: Any) -> NDArray[np.float64]:
    """(4, 4) RAS mm matrix of a SimpleITK transform with centre, matrix and translation in units of `UNIT_MM`."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    matrix[:3, 3] = UNIT_MM * (np.array(transform.GetTranslation()) + centre - matrix[:3, :3] @ centre)
    return np.asarray(LPS @ matrix @ LPS)


class Comparison:
    """Two images at one resolution, compared by Mattes mutual information.

    Mattes et al., IEEE Trans. Med. Imaging 22:120 (2003). Deterministic: one thread, samples drawn with a fixed seed.
    """

    def __init__(self, fixed: Any, moving: Any, mask: Any, samples: int) -> None:
        """Compare `moving` with `fixed` at about `samples` voxels of the mask on `fixed` (SimpleITK images)."""
        self._fixed, self._moving, self._mask = fixed, moving, mask
        inside = int(np.count_nonzero(np.asarray(_voxels(mask))))
        self._share = min(1.0, samples / max(1, inside))

    def dissimilarity(self, transform: Any) -> float:
        """Negative mutual information after `transform` (fixed to moving points); +∞ where they hardly overlap."""
        try:
            with _one_thread():
                return float(self._method(type(transform)(transform)).MetricEvaluate(self._fixed, self._moving))
        except RuntimeError:
            return float("inf")

    def optimise(
        self, start: Any, step_mm: float, reporter: Reporter, stage: str, done: float, iterations: int = 60
    ) -> tuple[Any, float]:
        """Follow the gradient from a start.

        Args:
            start: initial transform from points of `fixed` to points of `moving`.
            step_mm: first step, felt 80 mm from the centre; the last is a hundredth of it.
            reporter: told `stage` and `done` at every iteration; may cancel.
            stage: name of the stage.
            done: fraction of the stage.
            iterations: at most this many.

        Returns:
            The transform found and its negative mutual information; the start and +∞ where they hardly overlap.
        """
        found = type(start)(start)
        method = self._method(found)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=step_mm / UNIT_MM,
            minStep=step_mm / UNIT_MM / 100,
            numberOfIterations=iterations,
            relaxationFactor=0.6,
            gradientMagnitudeTolerance=1e-8,
        )
        stopped: list[BaseException] = []

        def each_iteration() -> None:
            # An exception must not travel through ITK: keep it, end the optimisation, raise it outside.
            try:
                reporter.progress(stage, done)
            except BaseException as error:
                stopped.append(error)
                method.StopRegistration()

        method.AddCommand(sitk.sitkIterationEvent, each_iteration)
        try:
            with _one_thread():
                method.Execute(self._fixed, self._moving)
            value = float(method.GetMetricValue())
        except RuntimeError:
            found, value = start, float("inf")
        if stopped:
            raise stopped[0]
        return found, value

    def _method(self, transform: Any) -> Any:
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(_BINS)
        method.SetMetricFixedMask(self._mask)
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(self._share, _SEED)
        method.SetInterpolator(sitk.sitkLinear)
        # Central differences of what is compared; the filter's wide Gaussian would give the gradient of another image.
        method.SetMetricUseMovingImageGradientFilter(False)
        method.SetInitialTransform(transform, inPlace=True)
        return method


@contextmanager
def _one_thread() -> Iterator[None]:
    """One ITK thread: the order in which several add up changes the last digits from run to run.

    Only the default for the whole process reaches the metric; the method's own setting does not.
    """
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _voxels(image: Any) -> NDArray[Any]:
    return np.asarray(sitk.GetArrayFromImage(image))

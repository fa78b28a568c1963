"""From a seed to the volumes of a simulated patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import ADC_UNITS, CBV_UNITS, Role
from HierSynthLib.errors import InputError
from HierSynthLib.phantom.anatomy import load_anatomy
from HierSynthLib.phantom.dsc_acquisition import DscAcquisition, acquire_dsc
from HierSynthLib.phantom.dsc_protocol import DEFAULT_PROTOCOL, named_protocol
from HierSynthLib.phantom.fields import FOV_MM, Array, Axes, isotropic_axes, random_spline, stream
from HierSynthLib.phantom.lesion import GRADES, LABELS, PARTS
from HierSynthLib.phantom.patient import Patient, simulate
from HierSynthLib.phantom.scanner import ImageGrid, Sampler, Scene
from HierSynthLib.phantom.signal import (
    B_VALUE,
    PROTOCOLS,
    apparent_diffusion,
    rician,
    sequence_signal,
)
from HierSynthLib.progress import Part, Reporter, Silent
from HierSynthLib.volume import Volume

GENERATOR_VERSION = "2"
"""Changes whenever the same seed gives another patient."""

SIZES = {"full": 1.0, "small": 3.0}
"""Voxel size in mm of the named sizes."""

THICK_MM = 5.0
_TISSUE_MM = 1.5  # about the step at which tissue is simulated before it is averaged into larger voxels
_NAWM_TEMPLATE = ((25.0, 10.0, 33.0), (26.0, -8.0, 35.0), (26.0, -25.0, 34.0))  # right centrum semiovale, MNI mm
_NAWM_RADIUS_MM = 5.0
_NAWM_LABEL = 4
_SNR = {Role.T1: (22.0, 40.0), Role.T2: (22.0, 45.0), Role.FLAIR: (18.0, 35.0), Role.ADC: (40.0, 70.0)}
_SLAB_VOXELS = 250_000


@dataclass(frozen=True)
class Phantom:
    """A simulated patient in memory.

    Attributes:
        volumes: by role: T1, T2, FLAIR (int16, arbitrary units), ADC (float32, 10⁻³ mm²/s), DSC (int16, 4-D, arbitrary
            units), CBV_ACQUIRED (float32, nrCBV, processed from DSC and on its grid), CBV_TRUE (float32, nrCBV), ROI
            (uint8 labels) and BRAIN (uint8, the true brain mask). CBV_TRUE, ROI and BRAIN lie on the reference grid,
            each sequence on its own.
        labels: the ROI's label numbers and their names.
        facts: everything that was drawn, as JSON: seed, grade, lesion, true transforms, sequences, tissues. A transform
            maps a point of the reference position to its place during that acquisition, RAS mm.
        truth: on the reference grid, float32: tissue fractions (0–1), "brain", "vessel", "artery" and
            "cbv_heterogeneity", see `Patient`.
        dsc: the perfusion examination with its masks and its truth; None for a phantom without it, which has neither
            DSC nor CBV_ACQUIRED.
    """

    volumes: dict[Role, Volume]
    labels: dict[int, str]
    facts: dict[str, Any]
    truth: dict[str, NDArray[np.float32]]
    dsc: DscAcquisition | None


def make_phantom(
    seed: int,
    grade: str = "high",
    size: str = "full",
    *,
    spacing_mm: float | None = None,
    misalignment: bool = True,
    thick_slices: bool | None = False,
    noise: bool = True,
    anatomy: str = "auto",
    dsc: bool = True,
    dsc_protocol: str = DEFAULT_PROTOCOL,
    dsc_motion: bool = False,
    dsc_drift: bool = False,
    reporter: Reporter | None = None,
) -> Phantom:
    """Simulate a patient.

    Everything is drawn from `seed` in physical space: the same seed at another size or spacing is the same person,
    and another grade is the same person with another lesion in the same place.

    Args:
        seed: any whole number from 0.
        grade: "high", "low" or "none".
        size: "full" (1 mm) or "small" (3 mm).
        spacing_mm: voxel size of the reference grid instead of a named size, 0.8–6 mm.
        misalignment: whether the patient moves a little between the sequences, each of which then has its own oblique
            grid.
        thick_slices: whether T2, FLAIR and ADC have slices of 5 mm; None draws it from the seed (3 of 10).
        noise: whether there are noise and bias fields.
        anatomy: "auto", "mni152" or "procedural", see `load_anatomy`.
        dsc: whether there are a DSC series and the CBV map processed from it. Without them a phantom takes half the
            time; everything else stays the same.
        dsc_protocol: how that series is acquired, a name in `DSC_PROTOCOLS`.
        dsc_motion: whether the head moves during it; the facts tell how.
        dsc_drift: whether the scanner's gain drifts during it.
        reporter: told the progress of "anatomy", "tissue" and "acquisition".

    Raises:
        InputError: an argument is out of range.
        Cancelled: the reporter was told to stop.
    """
    spacing = _checked_spacing(seed, grade, size, spacing_mm)
    named_protocol(dsc_protocol)
    if not dsc and (dsc_protocol != DEFAULT_PROTOCOL or dsc_motion or dsc_drift):
        raise InputError(
            "A DSC protocol, motion or drift is given for a phantom without DSC.", "Leave out one of both."
        )
    reporter = reporter or Silent()
    reporter.progress("anatomy", 0.0)
    template = load_anatomy(anatomy)
    parts = max(1, round(spacing / _TISSUE_MM))
    until = 0.35 if dsc else 0.6
    patient = simulate(template, _fine_axes(spacing, parts), parts, seed, grade, Part(reporter, 0.02, until))
    scene = Scene.drawn(seed, misalignment)
    thick = drawn_thick(seed) if thick_slices is None else thick_slices
    perfusion = _DscChoice(dsc_protocol, dsc_motion, dsc_drift) if dsc else None
    return _Acquisition(patient, scene, seed, spacing, thick, noise).run(
        _facts(patient, scene, seed, grade, spacing, template.name, thick), perfusion, Part(reporter, until, 1.0)
    )


def drawn_thick(seed: int) -> bool:
    """Return whether `thick_slices=None` means thick slices for this seed: 3 of 10."""
    return bool(stream(seed, "thick slices").uniform() < 0.3)


def _checked_spacing(seed: int, grade: str, size: str, spacing_mm: float | None) -> float:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"The seed {seed!r} is not a whole number from 0.", "Give for example --seed 1.")
    if grade not in GRADES:
        raise InputError(f"The grade '{grade}' is unknown.", "Choose high, low or none.")
    if size not in SIZES:
        raise InputError(f"The size '{size}' is unknown.", "Choose full or small.")
    spacing = SIZES[size] if spacing_mm is None else float(spacing_mm)
    if not 0.8 <= spacing <= 6:
        raise InputError(f"A spacing of {spacing} mm is out of range.", "Choose 0.8 to 6 mm.")
    return spacing


def _fine_axes(spacing: float, parts: int) -> Axes:
    """Return the simulation grid: every voxel of the reference grid divided into `parts` along each axis."""
    coarse = isotropic_axes(spacing)
    offsets = ((np.arange(parts) + 0.5) / parts - 0.5) * spacing
    return Axes(*[(positions[:, None] + offsets).ravel() for positions in (coarse.i, coarse.j, coarse.k)])


@dataclass(frozen=True)
class _DscChoice:
    """How the DSC series is acquired, see `make_phantom`."""

    protocol: str
    motion: bool
    drift: bool


class _Acquisition:
    """Takes the images of one patient in one scene."""

    def __init__(self, patient: Patient, scene: Scene, seed: int, spacing: float, thick: bool, noise: bool) -> None:
        self.patient, self.scene = patient, scene
        self.seed, self.spacing, self.thick, self.noise = seed, spacing, thick, noise
        self.reference = ImageGrid.covering((spacing,) * 3, scene.frame)

    def run(self, facts: dict[str, Any], dsc: _DscChoice | None, reporter: Reporter) -> Phantom:
        roi, nawm = self.regions_of_interest()
        nawm_cbv = float(self.patient.cbv[roi == _NAWM_LABEL].mean())
        brain = (self.patient.fractions["brain"] > 0.5).astype(np.uint8)
        affine = self.reference.affine
        volumes = {}
        part = (1.0 if dsc is None else 0.3) / len(_SNR)
        for n, role in enumerate(_SNR):
            volumes[role], facts["sequences"][role.value] = self.sequence(
                role, Part(reporter, part * n, part * (n + 1))
            )
        acquired = None
        if dsc is not None:
            acquired = acquire_dsc(
                self.patient, self.reference, self.scene, roi == _NAWM_LABEL, self.seed, Part(reporter, 0.3, 1.0),
                noise=self.noise, protocol=dsc.protocol, motion=dsc.motion, drift=dsc.drift,
            )  # fmt: skip
            volumes |= {Role.DSC: acquired.series, Role.CBV_ACQUIRED: acquired.cbv}
            facts["sequences"][Role.DSC.value] = acquired.settings
        volumes[Role.CBV_TRUE] = Volume(_rounded(self.patient.cbv / nawm_cbv), affine, CBV_UNITS)
        volumes[Role.ROI] = Volume(roi, affine, "label")
        volumes[Role.BRAIN] = Volume(brain, affine, "label")
        facts["nawm"] = {
            "mean_cbv_ml_per_100g": round(nawm_cbv, 6),
            "centres_ras_mm": nawm,
            "radius_mm": _NAWM_RADIUS_MM,
        }
        reporter.progress("acquisition", 1.0)
        present = {number: name for number, name in LABELS.items() if (roi == number).any()}
        return Phantom(volumes, present, facts, self.patient.fractions, acquired)

    def regions_of_interest(self) -> tuple[NDArray[np.uint8], list[list[float]]]:
        """Return the label map and the centres (RAS mm) of the NAWM reference.

        The reference is three spheres in the centrum semiovale opposite the lesion, without anything but white matter.
        """
        fractions = self.patient.fractions
        roi = np.zeros(self.reference.shape, np.uint8)
        for name, label in PARTS.items():
            if name in fractions:
                roi[fractions[name] >= 0.5] = label
        clear = (fractions["white_matter"] > 0.9) & (fractions["vessel"] < 0.01) & (roi == 0)
        axes = self.reference.axes
        spheres = np.array(_NAWM_TEMPLATE).T * [[-self.patient.plan.side], [1], [1]]
        centres = self.patient.deformation.to_frame(spheres).T
        for x, y, z in centres:
            away2 = (axes.i[:, None, None] - x) ** 2 + (axes.j[:, None] - y) ** 2 + (axes.k - z) ** 2
            sphere = (away2 <= _NAWM_RADIUS_MM**2) & clear
            if not sphere.any():  # voxels larger than the sphere: the nearest one of pure white matter
                sphere = away2 == np.where(clear, away2, np.inf).min()
            roi[sphere] = _NAWM_LABEL
        return roi, [self.scene.ras(centre) for centre in centres]

    def sequence(self, role: Role, reporter: Reporter) -> tuple[Volume, dict[str, Any]]:
        """Return the volume of a sequence and its parameters."""
        rng = stream(self.seed, f"settings of {role.value}")
        snr, gain = float(rng.uniform(*_SNR[role])), float(np.exp(rng.normal(np.log(400), 0.25)))
        images = ("b0", "b1000") if role is Role.ADC else (role.value,)
        protocol = PROTOCOLS["DWI" if role is Role.ADC else role.value]
        white = self.patient.tissues["white_matter"]
        level = float(sequence_signal(protocol, white.PD, white.T1, white.T2))
        thick = self.thick and role is not Role.T1
        grid = ImageGrid.covering(
            (self.spacing, self.spacing, max(THICK_MM, self.spacing) if thick else self.spacing),
            self.scene.frames[role],
        )
        sampler = Sampler(self.reference.affine, grid, self.scene.movement[role])
        bias = random_spline(stream(self.seed, f"bias of {role.value}"), 80.0)
        noise = stream(self.seed, f"noise of {role.value}")
        result = np.zeros(grid.shape, np.float32 if role is Role.ADC else np.int16)
        for slab in grid.axes.slabs(_SLAB_VOXELS, 1):
            reporter.progress("acquisition", slab.start / grid.shape[0])
            measured = [sampler.planes(self.patient.signals[name], slab) for name in images]
            if self.noise:
                sensitivity = np.exp(0.08 * bias.on(grid.axes.crop((slab, slice(None), slice(None)))))
                measured = [rician(image * sensitivity, level / snr, noise) for image in measured]
            if role is Role.ADC:
                floor = max(4.0 / snr if self.noise else 0.0, 0.12) * level
                result[slab] = _rounded(apparent_diffusion(measured[0], measured[1], floor))
            else:
                result[slab] = np.rint(measured[0] * (gain / level)).clip(0, 32767)
        settings = {
            "TR_ms": protocol.TR,
            "TE_ms": protocol.TE,
            "TI_ms": protocol.TI,
            "b_s_per_mm2": B_VALUE if role is Role.ADC else None,
            "snr_white_matter": round(snr, 3) if self.noise else None,
            "white_matter_level": None if role is Role.ADC else round(gain, 3),
            "spacing_mm": [round(s, 6) for s in grid.spacing],
        }
        return Volume(result, grid.affine, ADC_UNITS if role is Role.ADC else ""), settings


def _facts(
    patient: Patient, scene: Scene, seed: int, grade: str, spacing: float, anatomy: str, thick: bool
) -> dict[str, Any]:
    plan = patient.plan
    lesion = {
        "centre_ras_mm": scene.ras(patient.lesion_centre),
        "template_centre_mm": [round(float(v), 3) for v in plan.template_centre],
        "side": "right" if plan.side > 0 else "left",
        "radius_mm": round(plan.radius, 3),
        "oedema_mm": round(plan.oedema, 3),
        "hotspots": int(plan.hotspots.shape[1]),
    }
    return {
        "generator": GENERATOR_VERSION,
        "anatomy": anatomy,
        "seed": int(seed),
        "grade": grade,
        "spacing_mm": spacing,
        "field_of_view_mm": list(FOV_MM),
        "thick_slices": thick,
        "lesion": None if grade == "none" else lesion,
        "smallest_jacobian": round(patient.deformation.smallest_jacobian(), 6),
        "transforms": {role.value: np.round(matrix, 9).tolist() for role, matrix in scene.movement.items()},
        "sequences": {},
        "tissues": {name: tissue.as_json() for name, tissue in patient.tissues.items()},
    }


def _rounded(values: Array) -> NDArray[np.float32]:
    """Round to 0.001, in float64, so that the last bits of the arithmetic do not reach the file."""
    return np.round(values, 3).astype(np.float32)

"""Reading the volumes of a subject, in the units of the library."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from HierSynthLib.case import REFERENCE_LABEL, SEQUENCES, Role, convert_adc, require_usable
from HierSynthLib.errors import InputError
from HierSynthLib.progress import Reporter
from HierSynthLib.volume import Volume, read_volume
from Training.datasets.cohort import Subject
from Training.datasets.phantoms import simulate

# By how much the sum of the eigenvalues may differ from AD + 2·RD, relative to it (rounding, interpolation).
_TRACE_TOLERANCE = 0.1


@dataclass(frozen=True, eq=False)
class Loaded:
    """The volumes of a subject.

    Attributes:
        sequences: T1, T2, FLAIR (a.u.) and ADC (10⁻³ mm²/s), those that exist, and BRAIN where there is a mask.
        roi: label map, if there is one.
        tumour: values of the ROI that are lesion; None for all but 0.
        reference: values of the ROI that are normal-appearing white matter.
        cbv: the CBV map, where it is a file or the truth; its values as stored.
        content: SHA-256 of the values of each volume, by role.
        notes: what should be known about the reading, as sentences.
    """

    sequences: dict[Role, Volume]
    roi: Volume | None
    tumour: tuple[int, ...] | None
    reference: tuple[int, ...]
    cbv: Volume | None
    content: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Role:
        """The sequence that defines the space: the first of T1, T2, FLAIR, ADC that exists."""
        return next(role for role in SEQUENCES if role in self.sequences)


def load_subject(subject: Subject, reporter: Reporter | None = None) -> Loaded:
    """Read, or simulate, the volumes of a subject.

    Raises:
        InputError: a file cannot be read or is not what it should be, no sequence is there, or the ADC has unusual
            units.
    """
    labels = subject.case.labels
    notes: list[str] = []
    if subject.case.simulated and not subject.case.files:
        phantom = simulate(subject, reporter)
        volumes, labels = dict(phantom.volumes), phantom.labels
        cbv = volumes.get(Role.CBV_TRUE)
    else:
        wanted = (*SEQUENCES, Role.BRAIN, Role.ROI, _cbv_role(subject))
        volumes = {role: _read(subject, role) for role in wanted if role is not None and role in subject.case.files}
        role = _cbv_role(subject)
        cbv = None if role is None else volumes.get(role)
        if Role.ADC in volumes:
            volumes[Role.ADC], words = _diffusion(subject, volumes[Role.ADC])
            notes += words
    sequences = {role: volumes[role] for role in (*SEQUENCES, Role.BRAIN) if role in volumes}
    if not any(role in sequences for role in SEQUENCES):
        raise InputError("There is no T1, T2, FLAIR or ADC.", "Leave the subject out, or add at least T1.")
    reference = tuple(value for value, name in labels.items() if name == REFERENCE_LABEL)
    tumour = tuple(value for value in labels if value not in reference) if labels else None
    content = {}
    if subject.case.files:  # simulated patients differ by their seeds
        used = {**sequences, **({} if cbv is None else {Role.CBV_ACQUIRED: cbv})}
        content = {str(role): content_hash(volume) for role, volume in used.items() if role is not Role.BRAIN}
    return Loaded(sequences, _labels(volumes.get(Role.ROI)), tumour, reference, cbv, content, tuple(notes))


def content_hash(volume: Volume) -> str:
    """SHA-256 of shape and values; the same however the file is compressed or its header written."""
    array = np.ascontiguousarray(volume.array, dtype=np.float32)
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).hexdigest()


def _cbv_role(subject: Subject) -> Role | None:
    return {"truth": Role.CBV_TRUE, "map": Role.CBV_ACQUIRED}.get(subject.target.rule)


def _read(subject: Subject, role: Role) -> Volume:
    return _three_dimensional(subject.case.files[role], subject.case.units.get(role, ""))


def _three_dimensional(path: Path, units: str = "") -> Volume:
    volume = read_volume(path, units)
    if volume.frames > 1 or volume.array.ndim < 3:
        raise InputError(
            f"{path} has {' × '.join(map(str, volume.array.shape))} values where one 3-D volume is expected.",
            "Give a single volume.",
        )
    return Volume(volume.array.reshape(volume.grid), volume.affine, volume.units)


def _labels(volume: Volume | None) -> Volume | None:
    if volume is None:
        return None
    values = np.nan_to_num(volume.array)
    if values.size and (values.min() < 0 or not np.array_equal(values, np.rint(values))):
        raise InputError("The segmentation has values that are no labels.", "Give whole numbers from 0.")
    return Volume(values.astype(np.uint8 if values.max(initial=0) < 256 else np.int32), volume.affine, "label")


def _diffusion(subject: Subject, volume: Volume) -> tuple[Volume, list[str]]:
    """The apparent or mean diffusivity in 10⁻³ mm²/s, and what was done for it.

    The units of a diffusivity follow from its size, but a trace and its third part, the mean, are of about the same
    size: they are told apart by axial and radial diffusivity, λ₁ + λ₂ + λ₃ = AD + 2·RD (Basser and Pierpaoli, Journal
    of Magnetic Resonance B 111:209, 1996).
    """
    notes = []
    if subject.diffusion == "trace":
        divisor = _divisor(subject, volume)
        volume = Volume((volume.array / np.float32(divisor)).astype(np.float32), volume.affine, volume.units)
        notes.append(
            "The trace of the diffusion tensor was divided by 3 to give the mean diffusivity."
            if divisor == 3
            else "DTI_TR was found to be the mean diffusivity already, by AD and RD."
        )
    converted, problems = convert_adc(volume)
    require_usable(problems)
    return converted, notes + [problem.what for problem in problems]


def _divisor(subject: Subject, trace: Volume) -> int:
    """3 for a trace, 1 where what is called so is the mean already."""
    if not {"AD", "RD"} <= set(subject.extra):
        return 3
    axial, radial = (_three_dimensional(subject.extra[name]) for name in ("AD", "RD"))
    if not (axial.same_grid(trace) and radial.same_grid(trace)):
        raise InputError(
            "The diffusion maps TR, AD and RD lie on different grids.", "Check that they are of one examination."
        )
    total = axial.array.astype(np.float64) + 2 * radial.array
    inside = (total > 0) & np.isfinite(total) & np.isfinite(trace.array) & (trace.array > 0)
    ratio = float(np.median(trace.array[inside] / total[inside])) if inside.any() else 1.0
    for divisor in (3, 1):  # the mean is a third of the sum
        if abs(ratio * 3 / divisor - 1) <= _TRACE_TOLERANCE:
            return divisor
    raise InputError(
        f"DTI_TR is {ratio:.2f} times AD + 2·RD, neither the trace (1) nor the mean diffusivity (1/3).",
        "Leave the ADC of this subject out.",
    )

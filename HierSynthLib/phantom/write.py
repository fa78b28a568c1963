"""Writing a simulated patient as a case folder."""

from __future__ import annotations

import json
from pathlib import Path

from HierSynthLib.case import Case, Role
from HierSynthLib.files import atomic_folder, write_text_atomically
from HierSynthLib.perfusion.reading import SIMULATED, sidecar_of
from HierSynthLib.phantom.dsc_acquisition import DscAcquisition
from HierSynthLib.phantom.dsc_protocol import DEFAULT_PROTOCOL
from HierSynthLib.phantom.make import make_phantom
from HierSynthLib.progress import Part, Reporter, Silent
from HierSynthLib.volume import write_volume

TRUE_BRAIN = "brain_mask_true.nii.gz"
DSC_SECOND_ECHO = "DSC_echo2.nii.gz"
DSC_BRAIN, DSC_NAWM = "DSC_brain_mask_true.nii.gz", "DSC_NAWM_true.nii.gz"


def write_phantom(
    out: Path,
    *,
    seed: int,
    grade: str = "high",
    size: str = "full",
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
) -> Case:
    """Simulate a patient (see `make_phantom` for the arguments) and write the case folder `out`.

    The true brain mask is written as `brain_mask_true.nii.gz` and named in the facts, but is no role of the case, so
    that preparation has to find the brain itself. Beside `DSC.nii.gz` lie `DSC.json` with its echo and repetition time
    in s (BIDS), and brain and NAWM on its grid, from which CBV_acquired was processed. The second echo of a dual-echo
    series is no role of the case either: it is `DSC_echo2.nii.gz`, with its own JSON.

    Returns:
        The case, with its files in `out`.

    Raises:
        InputError: an argument is out of range.
        OutputError: `out` exists and is not empty, or cannot be written. Nothing is left behind then.
    """
    out = Path(out)
    reporter = reporter or Silent()
    with atomic_folder(out) as folder:
        phantom = make_phantom(
            seed,
            grade,
            size,
            spacing_mm=spacing_mm,
            misalignment=misalignment,
            thick_slices=thick_slices,
            noise=noise,
            anatomy=anatomy,
            dsc=dsc,
            dsc_protocol=dsc_protocol,
            dsc_motion=dsc_motion,
            dsc_drift=dsc_drift,
            reporter=Part(reporter, 0.0, 0.8),
        )
        files: dict[Role, Path] = {}
        units: dict[Role, str] = {}
        for n, (role, volume) in enumerate(phantom.volumes.items()):
            reporter.progress("writing", 0.8 + 0.2 * n / len(phantom.volumes))
            path = folder / (TRUE_BRAIN if role is Role.BRAIN else f"{role.value}.nii.gz")
            frame_s = phantom.dsc.settings["protocol"]["tr_s"] if phantom.dsc and role is Role.DSC else None
            description = f"{SIMULATED} {role.value} {volume.units}".strip()
            write_volume(volume, path, description=description, frame_s=frame_s)
            if role is not Role.BRAIN:
                files[role], units[role] = path, volume.units
        facts = {**phantom.facts, "true_brain_mask": TRUE_BRAIN}
        if phantom.dsc is not None:
            facts |= _write_beside(phantom.dsc, folder)
        case = Case(f"phantom-{grade}-{seed}", files, units, phantom.labels, simulated=True, facts=facts)
        case.write(folder)
        reporter.progress("writing", 1.0)  # may cancel, so not after the folder has its name
    return Case.read(out)


def _write_beside(dsc: DscAcquisition, folder: Path) -> dict[str, str]:
    """Write what belongs to the DSC series; returns what the facts say of it."""
    protocol = dsc.settings["protocol"]
    files = [f"{Role.DSC.value}.nii.gz", DSC_SECOND_ECHO]
    for name, te_s in zip(files, protocol["te_s"], strict=False):  # one or two
        timing = {
            "EchoTime": te_s,
            "RepetitionTime": protocol["tr_s"],
            "FlipAngle": protocol["flip_deg"],
            "Simulated": True,
        }
        write_text_atomically(sidecar_of(folder / name), json.dumps(timing, indent=2) + "\n")
    for name, mask in ((DSC_BRAIN, dsc.brain), (DSC_NAWM, dsc.nawm)):
        write_volume(mask, folder / name, description=f"{SIMULATED} mask on the grid of DSC")
    facts = {"dsc_brain_mask": DSC_BRAIN, "dsc_nawm": DSC_NAWM}
    if dsc.second_echo is not None:
        second = folder / DSC_SECOND_ECHO
        write_volume(dsc.second_echo, second, description=f"{SIMULATED} DSC echo 2", frame_s=protocol["tr_s"])
        facts["dsc_second_echo"] = DSC_SECOND_ECHO
    return facts

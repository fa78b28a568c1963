"""Writing a simulated patient as a case folder."""

from __future__ import annotations

import json
from pathlib import Path

from HierSynthLib.case import Case, Role
from HierSynthLib.files import atomic_folder, write_text_atomically
from HierSynthLib.phantom.dsc_acquisition import DscAcquisition
from HierSynthLib.phantom.make import make_phantom
from HierSynthLib.progress import Part, Reporter, Silent
from HierSynthLib.volume import write_volume

TRUE_BRAIN = "brain_mask_true.nii.gz"
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
    reporter: Reporter | None = None,
) -> Case:
    """Simulate a patient (see `make_phantom` for the arguments) and write the case folder `out`.

    The true brain mask is written as `brain_mask_true.nii.gz` and named in the facts, but is no role of the case, so
    that preparation has to find the brain itself. Beside `DSC.nii.gz` lie `DSC.json` with its echo and repetition time
    in s (BIDS), and brain and NAWM on its grid, from which CBV_acquired was processed.

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
            reporter=Part(reporter, 0.0, 0.8),
        )
        files: dict[Role, Path] = {}
        units: dict[Role, str] = {}
        for n, (role, volume) in enumerate(phantom.volumes.items()):
            reporter.progress("writing", 0.8 + 0.2 * n / len(phantom.volumes))
            path = folder / (TRUE_BRAIN if role is Role.BRAIN else f"{role.value}.nii.gz")
            write_volume(volume, path, description=f"SIMULATED {role.value} {volume.units}".strip())
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
    timing = {
        "EchoTime": protocol["te_s"][0],
        "RepetitionTime": protocol["tr_s"],
        "FlipAngle": protocol["flip_deg"],
    }
    write_text_atomically(folder / f"{Role.DSC.value}.json", json.dumps(timing, indent=2) + "\n")
    for name, mask in ((DSC_BRAIN, dsc.brain), (DSC_NAWM, dsc.nawm)):
        write_volume(mask, folder / name, description="SIMULATED mask on the grid of DSC")
    return {"dsc_brain_mask": DSC_BRAIN, "dsc_nawm": DSC_NAWM}

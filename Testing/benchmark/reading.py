"""Reading in the panel: the change from one case to the next, and the steps in which images are read.

python -m Testing.benchmark.reading

Pairs of maps with T1 and FLAIR at 1 mm (192 × 224 × 160), the largest presentation that there is, through real widgets.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.case import Case, Role
from HierSynthLib.reader_study.create import StudyCase, design, write_key, write_study
from HierSynthLib.reader_study.form import Form
from HierSynthLib.reader_study.images import write_image
from HierSynthLib.reader_study.protocol import Protocol
from HierSynthLib.reader_study.study import IMAGES, Presentation, Study
from Testing.benchmark.measure import print_table
from Testing.benchmark.study import SHAPE_1_MM
from Testing.benchmark.synthesis import spread
from Testing.host import Host
from Testing.host.properties import PROPERTIES
from Testing.panel.reading_case import FORM, Reader
from Testing.reader_studies import plan

CASES = 6
MODE = {"kind": "side_by_side", "sources": ["T1", "FLAIR"]}


def make_study(folder: Path) -> Study:
    """A study whose images are noise of the size of a patient's."""
    protocol, form = Protocol.parse(plan(modes=[MODE], readers=["R1"])), Form.parse(FORM)
    cases = {name: _case(folder / "cases" / name, name) for name in (f"case{n}" for n in range(CASES))}
    images = folder / "study" / IMAGES
    images.mkdir(parents=True)
    blinded = design(protocol, form, cases)
    random = np.random.default_rng(0)
    for image in blinded.maps:
        write_image(images / f"{image}.nii", random.gamma(4, 0.3, SHAPE_1_MM).astype(np.float32), np.eye(4))
    for image in blinded.sources:
        write_image(images / f"{image}.nii", random.integers(0, 900, SHAPE_1_MM).astype(np.int16), np.eye(4))
    study = write_study(folder / "study", protocol, form, blinded, simulated_cases=True)
    write_key(folder / "key.json", study, protocol, blinded, {})
    return study


def changes_of(host: Host, reader: Reader) -> list[float]:
    """Seconds from submitting until the next presentation is drawn, of all changes of a session."""
    images = reader.panel.reading.reading._images
    seconds = []
    for _ in range(CASES - 1):
        host.wait(lambda: images._steps is None, 60)
        reader.press("1", "Space", "Ctrl+Return")
        begun = time.perf_counter()
        reader.submit()
        host.wait(host.app.layoutManager().scheduler().is_idle)
        seconds.append(time.perf_counter() - begun)
    return seconds


def steps_of(study: Study, presentation: Presentation) -> list[float]:
    """Seconds of each step in which the images of a presentation are read."""
    from HierSynthPanel.reading_images import read_image

    seconds = []
    for image in (*presentation.images, *presentation.sources.values()):
        steps = read_image(study, image, is_map=image in presentation.images)
        begun = time.perf_counter()
        for _ in steps:
            seconds.append(time.perf_counter() - begun)
            begun = time.perf_counter()
    return seconds


def _case(folder: Path, name: str) -> StudyCase:
    (folder / "made").mkdir(parents=True)
    for file in ("CBV_acquired.nii.gz", "T1.nii.gz", "FLAIR.nii.gz", "made/map.nii.gz"):
        (folder / file).touch()
    roles = (Role.T1, Role.FLAIR, Role.CBV_ACQUIRED)
    return StudyCase(Case(name, {role: folder / f"{role}.nii.gz" for role in roles}, simulated=True), folder)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        study = make_study(Path(name))
        host = Host.start(offscreen=True)
        host.style.choose("Testing.panel", PROPERTIES)
        host.style.choose(__name__, PROPERTIES)
        panel: Any = host.open_module("HierSynth").panel
        reader = Reader(host, panel, study)
        reader.sign_in("R1")
        changes = changes_of(host, reader)
        host.click(reader.ui.signOutButton)
        steps = [steps_of(study, slot.presentation) for slot in study.slots("R1")]
        rows = [
            ("submit to next case drawn", "≤ 1 s", spread(changes, 2)),
            ("reading one presentation (82 MB) from the disk's cache", "–", spread([sum(each) for each in steps], 2)),
            ("longest step of it", "≤ 12 ms", f"{1e3 * max(max(each) for each in steps):.1f} ms"),
        ]
        host.quit()
    print_table("Reading, 2 maps and 2 images of 192 × 224 × 160", rows)


if __name__ == "__main__":
    main()

"""Pictures of a reader study in the panel: one of every mode, with simulated patients and the demo model."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.case import Case
from HierSynthLib.phantom import write_phantom
from HierSynthLib.progress import Silent
from HierSynthLib.reader_study.create import create_study, read_cases, read_definition
from HierSynthLib.reader_study.form import Form
from HierSynthLib.reader_study.key import Key
from HierSynthLib.reader_study.protocol import Protocol
from HierSynthLib.volume import read_volume
from Testing.host import REPOSITORY, Host
from Testing.panel.reading_case import Reader

FORMS = REPOSITORY / "Resources" / "StudyForms"
MODES = (
    {"kind": "single", "sources": ["T1", "FLAIR"]},
    {"kind": "side_by_side", "sources": ["T1", "FLAIR"]},
    {"kind": "turing", "sources": ["T1"], "instructions": "Half of the maps are acquired, half are synthetic."},
    {"kind": "roi", "sources": ["FLAIR"]},
    {"kind": "unblinded", "sources": ["T1"]},
)

Place = tuple[float, float, float]
"""A position, RAS mm."""

Take = Callable[[Host, str, Any], object]
"""Host, name of the picture, widget or None for the window."""


def take_reading(host: Host, panel: Any, take: Take) -> None:
    """Make two patients with maps, and take a picture of every mode and of the section."""
    with tempfile.TemporaryDirectory() as folder:
        take_modes(host, panel, take, _patients(Path(folder)), Path(folder))


def take_modes(host: Host, panel: Any, take: Take, cases: Sequence[Path], folder: Path) -> None:
    """Take the pictures with these cases; studies are made in `folder`."""
    import slicer

    host.close_scene()
    # Where this checkout lies is of no interest.
    slicer.modules.hiersynth.widgetRepresentation().self().status.visible = False
    panel.study.ui.studyButton.collapsed = False
    form = Form.parse(read_definition(FORMS / "default-form.yaml"))
    plan = read_definition(FORMS / "example-protocol.yaml") | {"training_cases": [], "duplicates": 0, "readers": ["R1"]}
    folders = {Case.open(case).id: case for case in cases}
    for mode in MODES:
        name = str(mode["kind"]).replace("_", "-")
        out = folder / f"study-{name}"
        protocol = Protocol.parse(plan | {"modes": [mode]})
        key_file = folder / f"key-{name}.json"
        study = create_study(protocol, form, read_cases(cases), out, key_file, Silent())
        reader = Reader(host, panel, study)
        reader.sign_in()
        _answer(host, reader, _look_at_lesion(reader, Key.read(key_file), folders))
        take(host, f"reading-{name}", None)
        host.click(reader.ui.signOutButton)
        if name == "single":
            panel.study.ui.statusButton.collapsed = False
            take(host, "study", panel.study.widget)


def _look_at_lesion(reader: Reader, key: Key, cases: Mapping[str, Path]) -> Place:
    """Let the views cut through the middle of the lesion, which only the key can tell; returns it."""
    import slicer

    folder = cases[key.cases[reader.session.slot.presentation.images[0]]]
    roi, case = read_volume(folder / "ROI.nii.gz"), Case.open(folder)
    tumour = [label for label, name in case.labels.items() if name != "NAWM reference"]
    r, a, s = (float(mm) for mm in roi.positions(np.argwhere(np.isin(roi.array, tumour))).mean(axis=0))
    for view in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        view.JumpSliceByOffsetting(r, a, s)
    return r, a, s


def _answer(host: Host, reader: Reader, lesion: Place) -> None:
    """Some answers, so that the pictures show how they look."""
    reader.panel.reading.form.go_to(0)
    kinds = [each.item.kind for each in reader.panel.reading.form.items]
    for kind in kinds[:-1]:
        if kind in ("hotspots", "outline"):
            _mark(host, reader, kind, lesion)
        else:
            reader.press({"confidence": "8"}.get(kind, "2"))
        if len(kinds) < 6 or kind == "likert":
            reader.press("Space")


def _mark(host: Host, reader: Reader, kind: str, lesion: Place) -> None:
    """Two hotspots, or an outline, at the lesion."""
    r, a, s = lesion
    if kind == "hotspots":
        for offset in (0.0, 9.0):
            host.click(reader.button("hotspots", "Place hotspot"))
            reader.click_position((r + offset, a, s))
        return
    host.click(reader.button("outline", "Draw outline"))
    for x, y in ((-16, -8), (0, -18), (16, -10), (20, 6), (4, 18), (-14, 10)):
        reader.click_position((r + x, a + y, s))


def _patients(folder: Path) -> list[Path]:
    """Case folders of two simulated patients with their synthetic maps."""
    cases = []
    for seed, grade in ((1, "high"), (2, "low")):
        case = folder / f"patient-{seed}"
        write_phantom(case, seed=seed, grade=grade)
        synthesize = [sys.executable, "-m", "HierSynthLib.cli", "synthesize", str(case), "--out", str(case / "maps")]
        subprocess.run(synthesize, check=True, cwd=REPOSITORY)
        cases.append(case)
    return cases

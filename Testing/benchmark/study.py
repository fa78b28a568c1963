"""Reader studies: making one, the next case's record, checking the record, analysing and exporting.

python -m Testing.benchmark.study [--images]

A simulated study of 10 readers × 200 cases × 2 arms with the default form, 10 % duplicates. `--images` also measures
the images of one case at 1 mm (two maps, two sources).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.case import Case, Role
from HierSynthLib.folders import resources_folder
from HierSynthLib.progress import Silent
from HierSynthLib.reader_study.administration import close_study
from HierSynthLib.reader_study.analysis.run import analyse_study
from HierSynthLib.reader_study.create import StudyCase, design, read_definition, truth_of, write_key, write_study
from HierSynthLib.reader_study.exports import FORMATS, export_study
from HierSynthLib.reader_study.form import Form
from HierSynthLib.reader_study.images import Placed, equalise, write_image
from HierSynthLib.reader_study.protocol import DisplaySettings, Protocol
from HierSynthLib.reader_study.record.session import sign_in
from HierSynthLib.reader_study.study import IMAGES, Study
from HierSynthLib.reader_study.verify import verify_record
from HierSynthLib.volume import Volume
from Testing.benchmark.measure import print_table
from Testing.reader_studies import Time, fill_record, plan, some_answer

READERS, CASES, LEFT = 10, 200, 25
SHAPE_1_MM = (192, 224, 160)


def make_large_study(folder: Path) -> Study:
    """The study of the benchmark in `folder`/study, without images, and its key in `folder`/key.json."""
    protocol = Protocol.parse(plan(readers=[f"R{n}" for n in range(1, READERS + 1)], duplicates=0.1))
    form = Form.parse(read_definition(resources_folder() / "StudyForms" / "default-form.yaml"))
    cases = {}
    for number in range(CASES):
        name = f"case{number}"
        cases[name] = StudyCase(_case(folder / "cases" / name, name, number), folder / "cases" / name)
    (folder / "study" / IMAGES).mkdir(parents=True)
    blinded = design(protocol, form, cases)
    study = write_study(folder / "study", protocol, form, blinded, simulated_cases=True)
    write_key(folder / "key.json", study, protocol, blinded, truth_of(cases, {}, protocol, form))
    return study


def next_records(study: Study, clock: Time) -> list[float]:
    """Seconds from the submission of one presentation until the next is recorded as shown and its form is known."""
    seconds = []
    for path in {path for slot in study.slots("R1") for path in study.files(slot.presentation)}:
        path.touch()
    with sign_in(study.folder, "R1", clock=clock, monotonic=clock.monotonic) as session:
        slot = session.show()
        while slot is not None:
            for item in session.items:
                session.answer(item.id, some_answer(item, slot))
            begun = time.perf_counter()
            session.submit()
            slot = session.show()
            session.answers()
            seconds.append(time.perf_counter() - begun)
    return seconds


def seconds_of_images(folder: Path) -> float:
    """Seconds for bringing two maps of 1 mm onto one grid and writing them with two sources."""
    random = np.random.default_rng(0)
    affine = np.diag([1.8, 1.8, 4.0, 1.0])
    coarse = Placed(Volume(random.gamma(4, 0.3, (128, 128, 40)).astype(np.float32), affine), np.eye(4))
    fine = Placed(Volume(random.gamma(4, 0.3, SHAPE_1_MM).astype(np.float32)), np.eye(4))
    source = random.integers(0, 900, SHAPE_1_MM).astype(np.int16)
    begun = time.perf_counter()
    arrays, shared = equalise({"a": coarse, "b": fine}, DisplaySettings())
    for name, array in [*arrays.items(), ("T1", source), ("FLAIR", source)]:
        write_image(folder / f"{name}.nii", array, shared)
    return time.perf_counter() - begun


def _case(folder: Path, name: str, number: int) -> Case:
    """A case whose files are there but empty: nothing reads them here."""
    (folder / "made").mkdir(parents=True)
    for file in ("CBV_acquired.nii.gz", "T1.nii.gz", "made/map.nii.gz"):
        (folder / file).touch()
    files = {Role.T1: folder / "T1.nii.gz", Role.CBV_ACQUIRED: folder / "CBV_acquired.nii.gz"}
    return Case(name, files, simulated=True, facts={"grade": "high" if number % 2 else "low"})


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study, seconds = _timed(lambda: make_large_study(folder))
        rows.append(("create: schedule, study.json, key, record", "10 s", f"{seconds:.2f} s"))
        clock = Time()
        fill_record(study, clock, leave=LEFT)
        records = sorted(next_records(study, clock))
        rows.append(("next case's record, median", "20 ms", f"{1e3 * statistics.median(records):.1f} ms"))
        rows.append(("next case's record, slowest", "", f"{1e3 * records[-1]:.1f} ms"))
        found, seconds = _timed(lambda: verify_record(study.folder, images=False))
        rows.append((f"verify {found.events} events, {found.answers} answers", "", f"{seconds:.2f} s"))
        close_study(study.folder, incomplete="the benchmark leaves some presentations unread")
        told, seconds = _timed(lambda: analyse_study(study.folder, folder / "key.json", folder / "analysis", Silent()))
        rows.append((f"analyse, with report ({len(told['sentences'])} results)", "30 s", f"{seconds:.1f} s"))
        formats = list(FORMATS)
        files, seconds = _timed(
            lambda: export_study(study.folder, folder / "key.json", folder / "exports", formats, Silent())
        )
        rows.append((f"export, {len(files)} files", "", f"{seconds:.1f} s"))
        if "--images" in sys.argv:
            rows.append(("create: images of one case at 1 mm", "", f"{seconds_of_images(folder):.2f} s"))
    print_table("Reader study of 10 readers × 200 cases × 2 arms", rows)


if __name__ == "__main__":
    main()

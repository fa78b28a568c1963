"""What Slicer's own process imports needs only the standard library and numpy."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LIGHT = [
    "case",
    "volume",
    "errors",
    "files",
    "folders",
    "progress",
    "worker.client",
    "worker.messages",
    "worker.job_folder",
    "case.assignment",
    "case.checks",
    "fidelity.measures.definitions",
    "fidelity.measures.settings",
    "fidelity.measures.words",
    "fidelity.readout",
    "perfusion.timing",
    "perfusion.voxel_curve",
    "fidelity.regions.audit",
    "fidelity.regions.shapes",
    "fidelity.report.tables",
    "reader_study.administration",
    "reader_study.form",
    "reader_study.image_file",
    "reader_study.protocol",
    "reader_study.record.answers",
    "reader_study.record.database",
    "reader_study.record.reading",
    "reader_study.record.refusals",
    "reader_study.record.session",
    "reader_study.study",
    "reader_study.verify",
    "requirements",
    "synthesis.catalogue",
    "synthesis.package",
    "synthesis.summary",
    "worker.interpreter",
    "worker.redaction",
    "worker.run_state",
    "worker.runtime",
    "worker.time_left",
    "worker.transfer",
]
PROGRAM = """
import json, sys
sys.path.insert(0, {library!r})
before = set(sys.modules)
import {module}
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""


def imported_by(module):
    """Return the top-level packages that a fresh Python loads for a module, without those of the standard library."""
    program = PROGRAM.format(library=str(Path(__file__).parents[2]), module=module)
    done = subprocess.run([sys.executable, "-I", "-c", program], stdout=subprocess.PIPE, check=True, text=True)
    return set(json.loads(done.stdout)) - sys.stdlib_module_names


@pytest.mark.parametrize("module", LIGHT)
def test_the_light_half_is_light(module):
    assert imported_by(f"HierSynthLib.{module}") <= {"HierSynthLib", "numpy"}


def test_the_worker_listens_before_it_loads_anything():
    assert imported_by("HierSynthLib.worker.__main__") == {"HierSynthLib"}


def test_the_command_line_loads_nothing_that_computes():
    assert not imported_by("HierSynthLib.cli") & {"numpy", "scipy", "torch", "SimpleITK", "matplotlib", "nilearn"}


@pytest.mark.parametrize("module", ["fidelity.compare", "fidelity.regions.suggest", "perfusion.job"])
def test_jobs_that_need_no_network_do_not_wait_for_torch(module):
    assert "torch" not in imported_by(f"HierSynthLib.{module}")

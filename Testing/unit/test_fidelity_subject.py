"""What is measured of a patient, and what only helps to find the reference."""

import numpy as np
import pytest

from HierSynthLib.case import Case, Role
from HierSynthLib.fidelity.measures.job_parameters import Staging
from HierSynthLib.fidelity.measures.settings import Settings
from HierSynthLib.fidelity.regions.suggest import suggest_regions
from HierSynthLib.fidelity.report.alignment import align
from HierSynthLib.fidelity.report.subject import Choices, SyntheticMap, describe_subject
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, write_volume


@pytest.fixture
def subject(tmp_path):
    """Of a case with T1 and FLAIR whose user wants nothing but the CBV maps measured."""
    files = {role: tmp_path / f"{role}.nii" for role in (Role.T1, Role.FLAIR, Role.CBV_ACQUIRED)}
    for path in (*files.values(), tmp_path / "map.nii"):
        write_volume(Volume(np.ones((4, 5, 6), np.float32)), path)
    maps = [SyntheticMap("synthetic", tmp_path / "map.nii")]
    return describe_subject(Case("case", files), maps, Choices(also=()))


def test_what_is_not_measured_still_helps_to_find_the_reference(subject, tmp_path):
    staging = Staging(tmp_path, subject, align(subject, None, Silent()))
    assert set(staging.suggestion(["reference"], 4, 6.0)["anatomy"]) == {"T1", "FLAIR"}
    measured = staging.measurement((), Settings(), tmp_path / "out.json")["maps"]
    assert [each["name"] for each in measured] == ["synthetic", "acquired"]


def test_a_reference_is_suggested_where_no_hotspots_are_wanted(subject, tmp_path):
    order = Staging(tmp_path, subject, align(subject, None, Silent())).suggestion(["reference"], 0, 6.0)
    assert suggest_regions(order | {"brain": None}, Silent())["hotspots"] == {}

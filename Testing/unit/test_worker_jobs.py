"""The worker's jobs: what they make of their parameters, and that the maps of a case arrive as the panel needs them."""

from types import SimpleNamespace

import numpy as np
import pytest

import HierSynthLib.phantom
from HierSynthLib.errors import InputError
from HierSynthLib.progress import Silent
from HierSynthLib.worker.client import WorkerClient
from HierSynthLib.worker.jobs import standard_jobs
from HierSynthLib.worker.messages import Progress, Result
from HierSynthLib.worker.transfer import ArrayFile, write_in_pieces


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("phantom", {}),
        ("phantom", {"out": "x", "seed": "1"}),
        ("phantom", {"out": "x", "misalignment": "no"}),
        ("phantom", {"out": "x", "dsc": 1}),
        ("read_case", {"output": "x"}),
        ("read_case", {"case": 3, "output": "x"}),
        ("read_case", {"case": "x"}),
        ("compare", {"synthetic": "a", "output": "c"}),
        ("compare", {"synthetic": "a", "acquired": "b", "output": "c", "square_mm": "wide"}),
    ],
)
def test_wrong_parameters_are_refused(kind, parameters, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        standard_jobs()[kind](parameters, Silent())
    assert not list(tmp_path.iterdir())


def test_a_phantom_is_made_as_asked(monkeypatch):
    asked = {}

    def write_phantom(out, **options):
        asked.update(options, out=str(out))
        return SimpleNamespace(id="phantom-high-7")

    monkeypatch.setattr(HierSynthLib.phantom, "write_phantom", write_phantom)
    parameters = {"out": "/x", "seed": 7, "grade": "low", "size": "small", "misalignment": False, "dsc": False}
    assert standard_jobs()["phantom"](parameters, Silent()) == {"case": "/x", "id": "phantom-high-7"}
    del asked["reporter"]
    assert asked == parameters
    standard_jobs()["phantom"]({"out": "/x"}, Silent())
    assert asked["misalignment"] is asked["dsc"] is True


def run(client, kind, parameters):
    job = client.submit(kind, parameters)
    stages = []
    while True:
        event = client.next_event(60)
        assert event is not None
        if isinstance(event, Progress):
            stages.append(event.stage)
        elif isinstance(event, Result) and event.job == job:
            return event.result, stages


def test_from_a_case_folder_to_a_comparison_through_the_worker(small_case, tmp_path):
    with WorkerClient() as client:
        case, stages = run(client, "read_case", {"case": str(small_case), "output": str(tmp_path / "read")})
        assert "reading" in stages
        # What a panel does: the true map, changed, stands for the synthetic one.
        file = ArrayFile.open(case["volumes"]["CBV_true"])
        memory = np.empty(file.shape[::-1], file.dtype)
        list(file.read_into(memory))
        path = tmp_path / "synthetic.npy"
        list(write_in_pieces(memory.T + np.float32(1.0), file.affine, "nrCBV", path))
        parameters = {"synthetic": str(path), "acquired": case["volumes"]["CBV_true"], "output": str(tmp_path / "c")}
        compared, _ = run(client, "compare", parameters | {"square_mm": 30})
    difference = ArrayFile.open(compared["maps"]["difference"])
    assert difference.shape == file.shape
    flat = np.empty(memory.size, np.float32)
    list(difference.read_into(flat))
    np.testing.assert_allclose(flat, 1.0, atol=1e-4)

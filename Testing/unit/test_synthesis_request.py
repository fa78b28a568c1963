"""What a synthesis is asked to do is checked before anything is read."""

import pytest

from HierSynthLib.errors import InputError
from HierSynthLib.synthesis.request import SynthesisRequest


@pytest.mark.parametrize("value", [5, None, ["T1.nii.gz"], {}])
@pytest.mark.parametrize("key", ["inputs", "units"])
def test_paths_and_units_are_texts(key, value):
    parameters = {"inputs": {"T1": "T1.nii.gz"}, "units": {"T1": ""}, "output": "maps"}
    with pytest.raises(InputError, match=f"'{key}'.*for T1") as caught:
        SynthesisRequest.parse(parameters | {key: {"T1": value}})
    assert caught.value.hint


@pytest.mark.parametrize("seed", [-1, 2**32, True, 1.5, "7"])
def test_seeds_of_the_refiner_are_whole_numbers(seed):
    parameters = {"inputs": {"T1": "T1.nii.gz"}, "output": "maps"}
    with pytest.raises(InputError, match=r"refine_seed|refiner"):
        SynthesisRequest.parse(parameters | {"refine_seed": seed})
    for good in (None, 0, 2**32 - 1):
        assert SynthesisRequest.parse(parameters | {"refine_seed": good}).refine_seed == good

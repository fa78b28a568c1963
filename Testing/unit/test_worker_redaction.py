"""What goes into a report holds no path of the user and no name of an image, but still says where a program failed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from HierSynthLib.worker.redaction import redact

NAME = "Mueller"


@pytest.mark.parametrize(
    "text",
    [
        "/data/Mueller/T1.nii.gz does not exist.",
        "/data/Hans Mueller/T1 von Mueller.nii.gz is cut off.",
        "Read '/data/Hans Mueller/T1.nii.gz'.",
        "Read '/data/series/T1 of Mueller'.",
        'Read "C:\\Users\\Hans Mueller\\T1.nrrd"',
        "C:\\Users\\Hans Mueller\\T1.nrrd is empty",
        "C:/Users/Mueller/T1",
        "\\\\server\\Mueller\\T1.dcm is damaged",
        "file:///home/Mueller/x",
        "~/Mueller/T1.mha",
        "T1:/data/Mueller/x",
        "path=/data/Mueller",
        "(/data/Mueller)",
        "/data/a:Mueller/x.npy",
        "FileNotFoundError: [Errno 2] No such file or directory: '/home/Mueller/a b/c'",
    ],
)
def test_paths_go(text):
    assert NAME not in redact(text)
    assert "…" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "ADC is taken to be in 10⁻⁶ mm²/s, because its median is 812.",
        "See https://github.com/HierSynth/SlicerHierSynth/issues for help.",
        "Give T1 and/or T2; 3 / 4 done; 1/2.",
        "T1 covers only 20 % of the head in FLAIR.",
        "torch 2.13.0 on cpu (2 threads): a few seconds left",
    ],
)
def test_everything_else_stays(text):
    assert redact(text) == text


def test_program_code_keeps_its_place():
    line = 'File "/home/Mueller/.venv/lib/python3.11/site-packages/torch/nn/module.py", line 12, in forward'
    assert redact(line) == 'File "site-packages/torch/nn/module.py", line 12, in forward'
    line = 'File "/home/Mueller/HierSynthLib/synthesis/job.py", line 3'
    assert redact(line) == 'File "HierSynthLib/synthesis/job.py", line 3'
    assert NAME not in redact('File "/home/Mueller/site-packages/Mueller.nii"')


def test_private_texts_go_wherever_they_stand():
    names = ["MUELLER^HANS T1", "MUELLER^HANS", ""]
    assert redact("T1 (MUELLER^HANS T1) is of MUELLER^HANS.", names) == "T1 (…) is of …."


@given(
    st.lists(st.from_regex(r"[A-Za-z0-9_ .^-]{1,12}", fullmatch=True).filter(str.strip), min_size=1, max_size=4),
    st.sampled_from(["nii.gz", "nrrd", "npy", "dcm"]),
)
def test_no_folder_survives(folders, suffix):
    path = "/" + "/".join(["data", *(f"{NAME}{folder}" for folder in folders), f"{NAME} 1.{suffix}"])
    assert NAME not in redact(f"T1: {path} is cut off.")

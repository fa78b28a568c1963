"""Which volume plays which role: real names of collections and scanners, contents, and the honesty not to guess."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HierSynthLib.case import SEQUENCES, Role
from HierSynthLib.case.appearance import is_adc_in_mm2_per_s, is_t2, why_no_image
from HierSynthLib.case.assignment import ASSIGNED, Candidate, assign
from HierSynthLib.case.naming import preference, read_name
from HierSynthLib.volume import read_volume

# By what they are: the value of a role, "other" for what is none, "" for what says nothing.
NAMES = {
    "T1": [
        "BraTS20_Training_001_t1",
        "BraTS-GLI-00000-000-t1n",
        "UCSF-PDGM-0004_T1_bias",
        "UPENN-GBM-00001_11_T1",
        "sub-01_ses-01_T1w",
        "t1_mprage_sag",
        "t1_mprage_sag_p2_iso_1.0",
        "t1_se_tra_nativ",
        "t1_tirm_tra_dark-fluid",
        "AX T1 FSPGR PRE",
        "AX T1",
        "Ax T1 FLAIR",
        "Sag T1 FLAIR",
        "sT1W_3D_TFE",
        "T1W_SE",
        "SAG BRAVO",
        "MPRAGE",
        "T1 MPRAGE PRE CONTRAST",
        "T1 without contrast",
        "T1 w/o contrast",
        "T1 sans gado",
        "T1 nativ",
        "T1 post op",
        "T1 PRE OP",
        "T1",
        "5: t1_mprage_sag",
        "MR Brain Tumor AX T1",
        "mp2rage_UNI_Images",
        "3D T1",
        "AXT1",
        "Ax 3D T1 MPR",
        "t1_vibe_fs_tra",
        "T1_bet",
        "AX T1 IR",
        "SAG T1 MEMPRAGE RMS",
    ],
    "other": [
        "BraTS20_Training_001_t1ce",
        "BraTS-GLI-00000-000-t1c",
        "UCSF-PDGM-0004_T1c_bias",
        "UCSF-PDGM-0004_DWI",
        "UCSF-PDGM-0004_DWI_bias",
        "UCSF-PDGM-0004_SWI",
        "UCSF-PDGM-0004_DTI_eddy_MD",
        "UCSF-PDGM-0004_DTI_eddy_FA",
        "UPENN-GBM-00001_11_T1GD",
        "UPENN-GBM-00001_11_DSC",
        "UPENN-GBM-00001_11_DSC_PH",
        "UPENN-GBM-00001_11_DSC_PSR",
        "UPENN-GBM-00001_11_DTI_TR",
        "TCGA-FG-6692_t1Gd",
        "sub-01_ce-gadolinium_T1w",
        "sub-01_part-mag_T2starw",
        "t1_mprage_sag_p2_iso_1.0_KM",
        "t1_se_tra_KM",
        "t2_fl2d_tra_hemo",
        "t2*_gre_tra",
        "T2 STAR",
        "ep2d_diff_3scan_trace_p2_TRACEW",
        "ep2d_diff_b1000",
        "ep2d_diff_mddw_20_p2_FA",
        "ep2d_diff_mddw_20_p2_ColFA",
        "ep2d_perf",
        "ep2d_perf_RELCBF",
        "ep2d_perf_MTT",
        "ep2d_perf_TTP",
        "SWI_Images",
        "mIP_Images(SW)",
        "Pha_Images",
        "localizer",
        "AAHead_Scout",
        "AX T1 POST",
        "T1 POST GAD",
        "AX T1 +C",
        "AX T1 C+",
        "T1 FLAIR +C",
        "AX FLAIR POST",
        "AX T2 GRE",
        "AX GRE T2*",
        "Ax SWAN",
        "Exponential Apparent Diffusion Coefficient",
        "eADC",
        "exponential ADC",
        "AX DWI b=1000",
        "Ax DWI",
        "Average DC",
        "rCBF",
        "Transit delay",
        "MTT",
        "TMAX",
        "Ktrans",
        "sT1W_3D_TFE_GD",
        "T2W_FFE",
        "sDWI_SSh",
        "dReg - DWI",
        "SAG BRAVO +C",
        "3D BRAVO POST",
        "MPRAGE Post",
        "T1 W/WO",
        "AX T1 pre/post",
        "T1 gado",
        "T1 KM",
        "T1 POST-OP GAD",
        "T1 SUBTRACTION",
        "T1 CBV SYNTHETIC",
        "T1 CBV SYNTHETIC (simulated)",
        "CBV true",
        "CBV_true",
        "CBV uncertainty",
        "T1 map",
        "T2 mapping",
        "T1_INV1_mp2rage",
        "DIR",
        "STIR cor",
        "PD T2",
        "T1 C SPINE",
        "COR T1 PITUITARY",
        "TOF_3D",
        "AXT1POST",
        "CT Head",
        "T1_mask",
        "T1+",
        "T1+C",
        "T1 vibe dyn",
        "T1Post",
        "T1c",
        "T1-CE",
        "FLAIR+C",
        "T2 FLAIR (T1 reg)",
        "aCBV",
        "Perfusion_Weighted",
        "relCBF",
        "IsoDWI",
    ],
    "T2": [
        "BraTS20_Training_001_t2",
        "BraTS-GLI-00000-000-t2w",
        "UPENN-GBM-00001_11_T2_unstripped",
        "sub-01_T2w",
        "t2_tse_tra",
        "t2_tse_tra_512",
        "t2_space_sag_p2_iso",
        "Sag CUBE T2",
        "AX T2 FRFSE",
        "Ax T2 PROPELLER",
        "T2W_TSE",
        "T2_in_T1_space",
        "T2toT1",
        "rT2",
        "T2",
        "ax_t2_haste",
    ],
    "FLAIR": [
        "BraTS20_Training_001_flair",
        "BraTS-GLI-00000-000-t2f",
        "UCSF-PDGM-0004_FLAIR_bias",
        "UPENN-GBM-00001_11_FLAIR",
        "sub-01_FLAIR",
        "t2_space_dark-fluid_sag_p2_iso",
        "t2_spc_da-fl_irprep_sag_p2",
        "t2_spc_ir_sag",
        "t2_tirm_tra_dark-fluid",
        "t2_tirm_tra",
        "Ax T2 FLAIR",
        "Ax T2 FLAIR PROPELLER",
        "Sag CUBE FLAIR",
        "FLAIR_longTR",
        "T2W_FLAIR",
        "FLAIR_to_T1",
        "flair2t1",
        "FLAIR",
    ],
    "ROI": [
        "BraTS20_Training_001_seg",
        "UCSF-PDGM-0004_tumor_segmentation",
        "ROI",
        "T1_seg",
    ],
    "ADC": [
        "UCSF-PDGM-0004_ADC",
        "ep2d_diff_ADC",
        "ep2d_diff_3scan_trace_p2_ADC",
        "resolve_3scan_trace_tra_ADC",
        "Apparent Diffusion Coefficient (mm2/s)",
        "ADC (10^-6 mm²/s)",
        "dADC",
        "ADC_reg_to_T1",
        "ADC",
    ],
    "ASL": [
        "UCSF-PDGM-0004_ASL",
        "ep2d_pcasl",
        "pCASL",
        "tgse_pcasl_PERFUSION",
        "CBF",
        "(Transit corrected CBF)",
        "3D ASL (non-contrast)",
        "ASL",
    ],
    "brain_mask": [
        "UCSF-PDGM-0004_brain_segmentation",
        "brain_mask",
        "T1_brain_mask",
    ],
    "CBV_acquired": [
        "UPENN-GBM-00001_11_DSC_ap-rCBV",
        "ep2d_perf_RELCBV",
        "(Color)CBV",
        "rCBV",
        "nrCBV",
        "CBV corrected",
        "CBV (leakage corrected)",
        "Cerebral Blood Volume",
        "CBV acquired",
        "CBV_acquired",
    ],
    "": [
        "volume_3",
        "Series 5",
        "scan",
        "MRBrain",
    ],
}


@pytest.mark.parametrize("expected", NAMES)
def test_names(expected):
    readings = {name: read_name(name) for name in NAMES[expected]}
    found = {name: "" if reading is None else str(reading.role or "other") for name, reading in readings.items()}
    assert found == dict.fromkeys(NAMES[expected], expected)


def test_all_vendors_say_t1_after_contrast_agent_in_their_own_way():
    for name in ("T1 POST GAD", "t1_se_tra_KM", "AX T1 +C", "sT1W_3D_TFE_GD", "T1 gado", "UPENN-GBM-00001_11_T1GD"):
        assert read_name(name).what == "T1 after contrast agent"
    assert read_name("T1 W/WO").what == "T1 with and without contrast agent"


def test_operations_are_not_contrast_agents():
    assert read_name("T1 post op").role == Role.T1
    assert not read_name("T1 pre op").native
    assert read_name("T1 PRE").native
    assert read_name("t1_se_tra_nativ").native


def test_better_images_are_preferred():
    assert preference("t1_mprage_sag") > preference("t1_se_tra") > preference("t1_se_tra_fs") > preference("T1 MPR COR")
    assert preference("UCSF_T1_bias") > preference("UCSF_T1")


def volumes(*names, **more):
    return [Candidate(str(number), name, **more) for number, name in enumerate(names)]


def named(candidates, assignment):
    names = {candidate.key: candidate.name for candidate in candidates}
    return {str(role): names[key] for role, key in assignment.roles.items()}


EXAMINATIONS = [
    (
        ["P1_t1", "P1_t1ce", "P1_t2", "P1_flair", "P1_seg"],
        {"T1": "P1_t1", "T2": "P1_t2", "FLAIR": "P1_flair"},
    ),
    (
        ["U_T1_bias", "U_T1", "U_T1c_bias", "U_T2_bias", "U_FLAIR_bias", "U_ADC", "U_ASL", "U_DWI", "U_SWI"],
        {"T1": "U_T1_bias", "T2": "U_T2_bias", "FLAIR": "U_FLAIR_bias", "ADC": "U_ADC", "ASL": "U_ASL"},
    ),
    (
        ["11_T1", "11_T1GD", "11_T2", "11_FLAIR", "11_DSC", "11_DSC_ap-rCBV", "11_DSC_PH", "11_DTI_FA"],
        {"T1": "11_T1", "T2": "11_T2", "FLAIR": "11_FLAIR", "CBV_acquired": "11_DSC_ap-rCBV"},
    ),
    (
        [
            "2: localizer",
            "3: t1_mprage_sag_p2_iso",
            "4: t2_tse_tra",
            "5: t2_space_dark-fluid_sag_p2_iso",
            "6: ep2d_diff_3scan_trace_p2_TRACEW",
            "7: ep2d_diff_3scan_trace_p2_ADC",
            "8: SWI_Images",
            "9: ep2d_perf",
            "10: ep2d_perf_RELCBV",
            "11: t1_mprage_sag_p2_iso_KM",
        ],
        {
            "T1": "3: t1_mprage_sag_p2_iso",
            "T2": "4: t2_tse_tra",
            "FLAIR": "5: t2_space_dark-fluid_sag_p2_iso",
            "ADC": "7: ep2d_diff_3scan_trace_p2_ADC",
            "CBV_acquired": "10: ep2d_perf_RELCBV",
        },
    ),
    (
        [
            "AX T1 FSPGR PRE",
            "AX T1",
            "AX T1 POST",
            "AX T2 FRFSE",
            "Ax T2 FLAIR",
            "Ax DWI",
            "Apparent Diffusion Coefficient (mm2/s)",
            "Exponential Apparent Diffusion Coefficient",
        ],
        {
            "T1": "AX T1 FSPGR PRE",
            "T2": "AX T2 FRFSE",
            "FLAIR": "Ax T2 FLAIR",
            "ADC": "Apparent Diffusion Coefficient (mm2/s)",
        },
    ),
    (
        ["T1", "T2", "FLAIR", "ADC", "CBV acquired", "CBV true", "T1 CBV SYNTHETIC", "T1 CBV difference SYNTHETIC"],
        {"T1": "T1", "T2": "T2", "FLAIR": "FLAIR", "ADC": "ADC", "CBV_acquired": "CBV acquired"},
    ),
]


@pytest.mark.parametrize(("names", "expected"), EXAMINATIONS)
def test_examinations(names, expected):
    candidates = volumes(*names)
    assignment = assign(candidates)
    found = {role: name for role, name in named(candidates, assignment).items() if role != "ROI"}
    assert found == expected
    assert set(assignment.reasons) == set(assignment.roles)
    assert set(assignment.reasons.values()) == {"Found by its name."}
    assert set(assignment.roles.values()) | set(assignment.unassigned) == {candidate.key for candidate in candidates}


def test_the_series_description_counts_where_the_name_says_nothing():
    candidate = Candidate("a", "series_5", "AX T2 PROPELLER")
    assignment = assign([candidate])
    assert assignment.roles == {Role.T2: "a"}
    assert assignment.reasons == {Role.T2: "Found by its series description."}


@pytest.mark.parametrize(
    ("name", "description", "hints", "why"),
    [
        ("T1", "AX T1 POST GAD", {}, "T1 after contrast agent, by its series description"),
        ("T1", "", {"ContrastBolusAgent": "Gadovist"}, "T1 after contrast agent, by its DICOM attributes"),
        ("T1", "t2_tse_tra", {}, "contradictory (T1 by its name and T2 by its series description)"),
        ("ADC", "Exponential ADC", {}, "an exponential ADC, by its series description"),
        ("ADC", "", {"ImageType": r"DERIVED\PRIMARY\DIFFUSION\TRACEW"}, "a diffusion image that is no ADC map"),
        ("ADC", "ep2d_diff_b1000", {}, "a diffusion image that is no ADC map"),
        ("T1 CBV SYNTHETIC", "", {}, "a synthetic image"),
        ("CBV", "CBV SYNTHETIC - RESEARCH", {}, "a synthetic image"),
    ],
)
def test_what_contradicts_itself_is_left_out(name, description, hints, why):
    assignment = assign([Candidate("a", name, description, hints=hints)])
    assert assignment.roles == {}
    assert why in assignment.unassigned["a"]


@pytest.mark.parametrize(
    ("name", "description", "hints", "role"),
    [
        ("ADC", "ep2d_diff_3scan_trace_p2", {}, Role.ADC),
        ("7: DWI", "DWI", {"ImageType": r"DERIVED\PRIMARY\DIFFUSION\ADC"}, Role.ADC),
        ("9: Perfusion", "", {"ImageType": r"DERIVED\PRIMARY\ASL\NONE"}, Role.ASL),
        ("T1 pre", "", {"ContrastBolusAgent": "Gadovist"}, Role.T1),  # of the examination, given later
        ("T1", "T1 PRE", {"ContrastBolusAgent": "Gadovist"}, Role.T1),
        ("T1", "", {"ContrastBolusAgent": "None"}, Role.T1),
        ("T2", "t2_tse_tra", {"ContrastBolusAgent": "Gadovist"}, Role.T2),
    ],
)
def test_what_agrees_is_taken(name, description, hints, role):
    assert assign([Candidate("a", name, description, hints=hints)]).roles == {role: "a"}


def test_two_that_are_equally_good_are_left_to_the_user():
    assignment = assign(volumes("AX T1", "COR T1", "T2"))
    assert assignment.roles == {Role.T2: "2"}
    assert assignment.ambiguous == {Role.T1: ("0", "1")}
    assert assignment.notes[0] == "T1: several volumes can be it (AX T1, COR T1). Choose one."
    assert set(assignment.unassigned) == {"0", "1"}


def test_an_enhanced_t1_is_named_as_the_reason():
    assignment = assign(volumes("AX T1 POST", "AX T2", "FLAIR", "ADC"))
    assert Role.T1 not in assignment.roles
    assert assignment.notes == ["T1: none found (AX T1 POST is T1 after contrast agent, by its name)."]


def test_nothing_to_choose_from():
    assignment = assign([])
    assert assignment.roles == {}
    assert assignment.notes == [f"{role}: none found." for role in SEQUENCES]


RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (np.zeros((20, 20, 20)), "has the same value everywhere"),
        (np.full((20, 20, 20), np.nan), "holds no numbers"),
        (RANDOM.integers(0, 4, (20, 20, 20)), "like a label map"),
    ],
)
def test_what_is_no_image_has_no_role(sample, why):
    assert why in assign([Candidate("a", "T1", sample=sample)]).unassigned["a"]


def test_a_series_over_time_has_no_role_but_asl():
    assert "a series of 50 volumes" in assign([Candidate("a", "T2", frames=50)]).unassigned["a"]
    assert assign([Candidate("a", "3D ASL", frames=2)]).roles == {Role.ASL: "a"}


def test_label_maps_are_only_roi():
    labels = RANDOM.integers(0, 3, (20, 20, 20))
    assert assign([Candidate("a", "T1", is_label=True)]).roles == {}
    assert assign([Candidate("a", "tumor_seg", sample=labels)]).roles == {Role.ROI: "a"}
    assert assign([Candidate("a", "tumor_seg", is_label=True)]).roles == {Role.ROI: "a"}
    assert assign([Candidate("a", "brain_mask", sample=labels)]).roles == {}
    assert assign([Candidate("a", "T1_seg", sample=RANDOM.normal(size=(20, 20, 20)))]).roles == {}


def test_an_adc_map_has_plausible_values():
    values = np.abs(RANDOM.normal(0.8, 0.2, (20, 20, 20)))
    for scale in (1.0, 1e3, 1e-3):
        assert assign([Candidate("a", "ADC", sample=values * scale)]).roles == {Role.ADC: "a"}
    assert "no diffusion coefficients" in assign([Candidate("a", "ADC", sample=values * 40)]).unassigned["a"]


@pytest.fixture(scope="module")
def samples(small_case):
    arrays = {role: read_volume(small_case / f"{role}.nii.gz").array.astype(float) for role in SEQUENCES}
    # As it is, this T2 lies by chance in the range of an ADC map in 10⁻⁶ mm²/s.
    assert not is_t2(arrays[Role.T2])
    return arrays | {Role.T2: arrays[Role.T2] / 3}


def disturbed(array, strength, seed):
    """With a linear bias field of up to ± 30 % and noise of 4 % of the brightest, times `strength`."""
    random = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, count) for count in array.shape], indexing="ij"), -1)
    biased = array * np.exp(0.3 * strength * (places @ random.normal(size=3)) / 1.7)
    level = 0.04 * strength * np.percentile(array, 99)
    return np.hypot(biased + random.normal(0, level, array.shape), random.normal(0, level, array.shape))


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_t2_is_known_by_its_bright_fluid_and_nothing_else_is_taken_for_it(samples, strength):
    for seed in range(3):
        seen = {role: is_t2(disturbed(samples[role], strength, seed)) for role in (Role.T1, Role.T2, Role.FLAIR)}
        assert seen == {Role.T1: False, Role.T2: True, Role.FLAIR: False}


def test_an_adc_map_is_not_taken_for_t2(samples):
    for scale in (1.0, 1e3, 1e-3):
        assert not is_t2(samples[Role.ADC] * scale)


def test_what_could_be_an_adc_map_is_not_taken_for_t2(samples):
    t2 = samples[Role.T2]
    assert is_t2(t2)
    middle = t2[10:-10, 10:-10, 10:-10]
    assert not is_t2(t2 * 0.9 / np.median(middle[middle > 0]))  # by chance in the range of 10⁻³ mm²/s


def test_volumes_without_names_get_the_roles_that_are_certain(samples):
    arrays = {"a": samples[Role.T1], "b": samples[Role.T2], "c": samples[Role.FLAIR], "d": samples[Role.ADC] * 1e-3}
    assignment = assign([Candidate(key, f"volume_{key}", sample=array) for key, array in arrays.items()])
    assert assignment.roles == {Role.T2: "b", Role.ADC: "d"}
    assert assignment.reasons[Role.T2].startswith("Found by its content")
    assert "unknown" in assignment.unassigned["a"]


def test_a_name_counts_more_than_the_content(samples):
    candidates = [
        Candidate("a", "volume", sample=samples[Role.T2]),
        Candidate("b", "T2", sample=samples[Role.T2]),
    ]
    assert assign(candidates).roles == {Role.T2: "b"}


@pytest.mark.parametrize("sample", [np.ones((2, 2, 2)), np.zeros((9, 9, 9)), np.full((9, 9, 9), np.nan)])
def test_contents_without_a_head_say_nothing(sample):
    assert not is_t2(sample)
    assert not is_adc_in_mm2_per_s(sample)
    assert why_no_image(sample)


ALL_NAMES = [name for names in NAMES.values() for name in names]
candidate_lists = st.lists(
    st.builds(
        Candidate,
        key=st.uuids().map(str),
        name=st.sampled_from(ALL_NAMES) | st.text(max_size=20),
        description=st.sampled_from(["", *ALL_NAMES]),
        frames=st.sampled_from([1, 1, 1, 60]),
        is_label=st.sampled_from([False, False, True]),
    ),
    max_size=12,
    unique_by=lambda candidate: candidate.key,
)


@settings(deadline=None, max_examples=150)
@given(candidate_lists, st.randoms(use_true_random=False))
def test_no_volume_has_two_roles_and_order_does_not_matter(candidates, random):
    assignment = assign(candidates)
    given_out = list(assignment.roles.values())
    assert len(given_out) == len(set(given_out))
    assert set(assignment.roles) <= set(ASSIGNED)
    assert not set(given_out) & set(assignment.unassigned)
    assert set(given_out) | set(assignment.unassigned) == {candidate.key for candidate in candidates}
    by_key = {candidate.key: candidate for candidate in candidates}
    for role, key in assignment.roles.items():
        assert read_name(by_key[key].name) is not None or read_name(by_key[key].description) is not None
        words = f"{by_key[key].name} {by_key[key].description}".lower()
        assert role != Role.T1 or not any(word in words for word in ("post gad", "t1ce", "t1gd", "+c", "synth"))
    shuffled = candidates.copy()
    random.shuffle(shuffled)
    again = assign(shuffled)
    assert (again.roles, again.ambiguous, again.unassigned) == (
        assignment.roles,
        assignment.ambiguous,
        assignment.unassigned,
    )

"""Blinding: what somebody finds who has the folder for readers, and the program, but not the key."""

import gzip
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.create import read_cases
from HierSynthLib.reader_study.key import Key
from HierSynthLib.reader_study.study import Study
from Testing.reader_studies import Time, make_study, read_session

ARMS = [
    {"name": "gadolinium", "source": "CBV_acquired", "reference": True},
    {"name": "zebrafish", "source": "made/map.nii.gz", "origin": "synthetic"},
    {"name": "quetzal", "source": "made/map.nii.gz", "origin": "synthetic"},
]
MODES = [
    {"kind": "single", "sources": ["T1"]},
    {"kind": "side_by_side", "sources": ["T1"]},
    {"kind": "roi", "arms": ["gadolinium"]},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("origin-of-the-cases")
    return make_study(folder, 12, modes=MODES[:2], duplicates=0.25, training_cases=["patient-003"])


@pytest.fixture(scope="module")
def key(made):
    return Key.read(made.folder.parent / "key.json")


@pytest.fixture(scope="module")
def three_arms(tmp_path_factory):
    """Where the reference stands beside two others, one mode shows one arm only, and maps come back in each mode.

    Each reader has files of his own.
    """
    folder = tmp_path_factory.mktemp("three")
    return make_study(folder, 7, arms=ARMS, modes=MODES, duplicates=0.3, shared_images=False)


def words(value):
    """Every text in a JSON object, with repetitions."""
    if isinstance(value, dict):
        return [word for name, each in value.items() for word in (name, *words(each))]
    if isinstance(value, list):
        return [word for each in value for word in words(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("which", ["made", "three_arms"])
def test_no_name_and_no_contents_occur_twice_and_so_nothing_links_two_presentations(which, request):
    """Whoever groups images by what they share, in study.json, by name or by checksum, is left with single ones.

    Otherwise what stands beside two partners is the reference, and a source that comes back in a session shows a
    hidden duplicate. Readers may share names, where the protocol does not say otherwise.
    """
    study = request.getfixturevalue(which)
    content = json.loads((study.folder / "study.json").read_text("utf-8"))
    images = {image for each in content["presentations"].values() for image in words([each["images"], each["sources"]])}
    shown = [
        word for each in content["presentations"].values() for word in [*each["images"], *each["sources"].values()]
    ]
    assert max(Counter(shown).values()) == 1
    for slots in content["schedules"].values():
        assert max(Counter(entry[1] for entry in slots).values()) == 1
    slots = Counter(entry[1] for slots in content["schedules"].values() for entry in slots)
    assert set(slots) == set(content["presentations"])
    assert (max(slots.values()) == 1) == (which == "three_arms")
    files = {path.stem: path.read_bytes() for path in (study.folder / "images").iterdir()}
    assert set(files) == set(content["checksums"]) == set(shown)
    assert images >= set(shown)
    assert len({*files.values()}) == len(files)
    assert len({*content["checksums"].values()}) == len(files)


@pytest.mark.parametrize("which", ["made", "three_arms"])
def test_study_json_is_the_same_for_every_arm_but_for_names_that_are_drawn(which, request):
    """Whoever knows the program but not the seed sees the same for an arm and for another one in its place."""
    study = request.getfixturevalue(which)
    key = Key.read(study.folder.parent / "key.json")
    by_mode = {}
    for each in study.presentations.values():
        for side, image in enumerate(each.images):
            place = (each.mode, key.arms[image], len(each.images) - 1 and side)
            by_mode.setdefault(place, []).append((sorted(each.sources), len(each.id), len(image)))
    looks = {mode: {json.dumps(each) for (m, _, _), seen in by_mode.items() if m == mode for each in seen}
             for mode, _, _ in by_mode}  # fmt: skip
    assert all(len(each) == 1 for each in looks.values())
    assert study.protocol.duplicates == 0
    lengths = {
        reader: Counter(slot.session for slot in study.slots(reader) if not slot.training) for reader in study.readers
    }
    for counts in lengths.values():
        assert len({*counts.values()} - {counts[max(counts)]}) == 0


def test_names_sort_neither_arms_nor_duplicates(made, key):
    """Names are as good as random: their order separates neither arms nor repetitions."""
    values = {
        arm: [int(image, 16) for image, own in key.arms.items() if own == arm] for arm in ("gadolinium", "zebrafish")
    }
    assert mannwhitneyu(*values.values()).pvalue > 0.01
    repeated = [int(each, 16) for each in key.duplicates]
    others = [int(each, 16) for each in made.presentations if each not in key.duplicates]
    assert mannwhitneyu(repeated, others).pvalue > 0.01


def test_readers_share_images_unless_the_protocol_says_otherwise(made, three_arms):
    for study, shared in ((made, True), (three_arms, False)):
        assert Study.read(study.folder).protocol.shared_images == shared
        one, other = (
            {
                slot.presentation.images[0]
                for slot in study.slots(reader)
                if slot.presentation.mode == "single" and not slot.training
            }
            for reader in study.readers
        )
        assert one == other if shared else not one & other


def maps(made, key):
    """Case → arm → files of the maps, the duplicates last."""
    found = {}
    for image, arm in key.arms.items():
        found.setdefault(key.cases[image], {}).setdefault(arm, []).append(made.image_file(image))
    return found


def test_duplicates_repeat_case_and_arm_under_another_name(made, key):
    assert key.repeated_cases == 3  # a quarter of 11, rounded
    # Three cases in two arms, the same for both readers; and in one pair, left and right exchanged between readers.
    assert len(key.duplicates) == 3 * (2 + 2)
    for again, first in key.duplicates.items():
        one, other = made.presentations[first], made.presentations[again]
        assert not set(one.images) & set(other.images)
        assert [key.arms[image] for image in one.images] == [key.arms[image] for image in other.images[::-1]]
        assert {key.cases[image] for image in (*one.images, *other.images)} == {key.cases[one.images[0]]}
        paths = [made.image_file(image) for image in (one.images[0], other.images[-1])]
        assert paths[0].read_bytes() != paths[1].read_bytes()
        assert paths[0].read_bytes()[352:] == paths[1].read_bytes()[352:]


def test_no_file_of_the_study_names_an_arm_a_case_a_path_or_the_seed(made):
    words = [
        b"gadolinium",
        b"zebrafish",
        b"CBV_acquired",
        b"map.nii",
        b"patient-0",
        b"origin-of",
        b'"seed"',
        b'"reference"',
    ]
    words += [each.folder.name.encode() for each in read_cases([made.folder.parent / "cases" / "patient-001"])]
    read_session(made.folder, "R1", Time(), most=2)
    for path in made.folder.rglob("*"):
        assert not any(word in path.name.encode() for word in words)
        if path.is_file():
            content = path.read_bytes()
            assert not any(word in content for word in words), path


def test_files_of_the_arms_differ_in_nothing_but_voxels(made, key):
    for case in maps(made, key).values():
        paths = [path for paths in case.values() for path in paths]
        assert len({path.stat().st_size for path in paths}) == 1
        assert len({path.stat().st_mtime_ns for path in paths}) == 1
        assert len({path.stat().st_mode for path in paths}) == 1
        assert len({neutral_header(path) for path in paths}) == 1
        images = [nibabel.load(path) for path in paths]
        assert {image.get_data_dtype() for image in images} == {np.dtype("float32")}
        assert [image.header["descrip"].item().decode() for image in images] == [path.stem for path in paths]
        zeros = [image.get_fdata() == 0 for image in images]
        assert all(np.array_equal(zeros[0], each) for each in zeros)
        assert 0 < zeros[0].mean() < 1
        for image in images:
            inside = image.get_fdata()[~zeros[0]]
            assert inside.min() >= 0.001 - 1e-9
            assert inside.max() <= 10
            assert np.abs(inside * 1000 - np.rint(inside * 1000)).max() < 1e-2


def neutral_header(path):
    """The header without the description, which is the neutral name."""
    content = path.read_bytes()
    return content[:148] + content[228:352]


def attributes(path):
    """What can be seen of a file without looking at its picture."""
    content, status = path.read_bytes(), path.stat()
    values = np.frombuffer(content[352:], "<f4")
    return {
        "name": int(path.stem, 16),
        "inode": status.st_ino,
        "size": status.st_size,
        "time": status.st_mtime,
        "header": hash(neutral_header(path)),
        "minimum": values.min(),
        "zeros": (values == 0).mean(),
        "negative": (values < 0).sum(),
        "not finite": (~np.isfinite(values)).sum(),
    }


def test_trivial_attributes_do_not_separate_the_arms(made, key):
    first = {arm: [case[arm][0] for case in maps(made, key).values()] for arm in ("gadolinium", "zebrafish")}
    seen = {arm: [attributes(path) for path in paths] for arm, paths in first.items()}
    for name in seen["gadolinium"][0]:
        one, other = ([each[name] for each in seen[arm]] for arm in seen)
        assert mannwhitneyu(one, other).pvalue > 0.05, name
    # That this would be noticed: compressed, the size of a file tells its arm nearly always.
    sizes = {arm: [len(gzip.compress(path.read_bytes())) for path in paths] for arm, paths in first.items()}
    assert mannwhitneyu(*sizes.values()).pvalue < 0.01


def test_reading_opens_no_key_and_imports_nothing_that_knows_it(made):
    program = """
import json, sys
opened = []
sys.addaudithook(lambda name, arguments: name in ("open", "sqlite3.connect") and opened.append(str(arguments[0])))
from pathlib import Path
from HierSynthLib.reader_study.record.session import sign_in
with sign_in(Path(sys.argv[1]), "R2") as session:
    session.show()
    print(repr(session.slot), session.items, session.answers(), session.upcoming)
modules = [name for name in sys.modules if name.startswith("HierSynthLib.reader_study")]
print(json.dumps([opened, modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, made.folder],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    shown, last = done.stdout.strip().rsplit("\n", 1)
    opened, modules = json.loads(last)
    assert any("record.sqlite" in each for each in opened)
    assert any("study.json" in each for each in opened)
    assert not any("key.json" in each or "/cases/" in each for each in opened)
    assert not {"key", "create", "blinding", "schedule", "images"} & {name.rpartition(".")[2] for name in modules}
    assert not any(word in shown for word in ("gadolinium", "zebrafish", "patient-0", "map.nii"))


def test_messages_of_a_reading_session_tell_no_arm(made, tmp_path):
    messages = []
    for reader, change in (("R1", "images"), ("R9", None), ("R1", "study.json")):
        folder = tmp_path / f"{len(messages)}"
        shutil.copytree(made.folder, folder)
        if change == "images":
            shutil.rmtree(folder / "images")
        elif change:
            (folder / change).write_bytes((folder / change).read_bytes().replace(b"Small", b"Large"))
        with pytest.raises(InputError) as caught:
            read_session(folder, reader, Time())
        messages.append(str(caught.value))
    assert len(set(messages)) == 3
    assert not any(word in text for word in ("gadolinium", "zebrafish", "patient-0", "map.nii") for text in messages)

"""Making a study: from case folders, a form and a protocol to the folder for readers, and the key beside it."""

from __future__ import annotations

import csv
import json
import secrets
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from HierSynthLib.case import Case, Role
from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.files import atomic_folder, write_text_atomically
from HierSynthLib.progress import Part, Reporter
from HierSynthLib.reader_study.blinding import Blinded, blind
from HierSynthLib.reader_study.checksums import image_checksum
from HierSynthLib.reader_study.form import Form
from HierSynthLib.reader_study.images import arm_file, equalise, place_case, write_image
from HierSynthLib.reader_study.key import Key
from HierSynthLib.reader_study.protocol import Protocol
from HierSynthLib.reader_study.record.events import Clock, utc_now
from HierSynthLib.reader_study.record.store import create_record
from HierSynthLib.reader_study.schedule import make_schedule, repeats
from HierSynthLib.reader_study.study import IMAGES, STUDY_FILE, Study, study_json

_SEED_BITS = 62
_LEAST_SEED = 2**48
"""Smaller seeds, such as a date, can be found by trying them all: the identifiers follow from the seed."""

_REVEALING = (Role.CBV_ACQUIRED, Role.CBV_TRUE, Role.DSC)


@dataclass(frozen=True)
class StudyCase:
    """A case of a study.

    Attributes:
        case: its volumes.
        folder: where they lie.
    """

    case: Case
    folder: Path


def read_definition(path: Path) -> Any:
    """The contents of a JSON or YAML file.

    Raises:
        InputError: it cannot be read, or YAML is given and PyYAML is not installed.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}).", "Give a YAML or JSON file.") from error
    if path.suffix.lower() == ".json":
        try:
            return json.loads(text)
        except ValueError as error:
            raise InputError(f"{path} is no JSON: {error}.", "Correct it at this place.") from error
    try:
        import yaml
    except ImportError as error:
        raise InputError(
            "YAML files need PyYAML, which is not installed.", "pip install PyYAML, or use JSON."
        ) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no YAML: {' '.join(str(error).split())}.", "Correct it at this place.") from error


def read_cases(folders: Sequence[Path]) -> list[StudyCase]:
    """The cases of some folders.

    Raises:
        InputError: one is no case folder, or two have the same identifier.
    """
    cases = [StudyCase(Case.open(folder), Path(folder)) for folder in folders]
    names = [each.case.id for each in cases]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"Two cases are called {twice}.", 'Change the "id" in the case.json of one.')
    return cases


def read_truth(path: Path) -> dict[str, dict[str, Any]]:
    """The truth of a CSV file with the column "case" and one column per fact.

    Raises:
        InputError: it cannot be read, has no such column, or a line has no case or one that was there before.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}).", "Give a CSV file.") from error
    if not rows or not rows[0].get("case"):
        raise InputError(f'{path} has no column "case", or no line.', "Write for example case,grade.")
    truth: dict[str, dict[str, Any]] = {}
    for line, row in enumerate(rows, start=2):
        case = (row["case"] or "").strip()
        if not case or case in truth:
            what = f"has the case {case} a second time" if case else "names no case"
            raise InputError(f"{path}, line {line}: it {what}.", "Each case needs one line.")
        truth[case] = {name: (value or "").strip() for name, value in row.items() if name not in ("case", None)}
    return truth


def create_study(
    protocol: Protocol,
    form: Form,
    cases: Sequence[StudyCase],
    out: Path,
    key_file: Path,
    reporter: Reporter,
    *,
    truth: Mapping[str, Mapping[str, Any]] | None = None,
    clock: Clock = utc_now,
) -> Study:
    """Write the folder of a study, and its key.

    Args:
        protocol: with arms; without a seed one is drawn.
        form: what is asked.
        cases: all, with those for training.
        out: new folder.
        key_file: new file outside of it.
        reporter: told about the progress.
        truth: case → facts; a simulated patient's grade is known without.
        clock: tells the time with its zone.

    Raises:
        InputError: something does not fit together, is missing or cannot be read.
        OutputError: folder or key exist, or cannot be written. Nothing is left behind then.
    """
    out, key_file = Path(out), Path(key_file)
    if key_file.absolute().is_relative_to(out.absolute()):
        raise InputError("The key would lie in the folder that readers get.", "Choose another place for it.")
    if key_file.exists():
        raise OutputError(f"{key_file} exists already.", "Choose another name with --key.")
    if protocol.seed is None:
        protocol = replace(protocol, seed=_LEAST_SEED + secrets.randbits(_SEED_BITS))
    elif protocol.seed < _LEAST_SEED:
        raise InputError(
            f"The seed {protocol.seed} is so small that it could be found by trial, and with it every arm.",
            f"Leave it out, or take a random number of {_LEAST_SEED} or more, and keep it secret.",
        )
    known = {each.case.id: each for each in cases}
    blinded = design(protocol, form, known)
    if protocol.duplicates and not blinded.duplicates:
        reporter.warning("There are too few cases for the share of duplicates: none is shown a second time.")
    facts = truth_of(known, truth or {}, protocol, form)
    with ExitStack() as undo:
        with atomic_folder(out) as folder:
            _write_images(blinded, known, protocol, folder / IMAGES, reporter)
            simulated = sorted(each.case.id for each in cases if each.case.simulated)
            study = write_study(folder, protocol, form, blinded, simulated_cases=bool(simulated), clock=clock)
            write_key(key_file, study, protocol, blinded, facts, simulated)
            undo.callback(key_file.unlink)
        undo.pop_all()
    return Study.read(out)


def design(protocol: Protocol, form: Form, cases: Mapping[str, StudyCase]) -> Blinded:
    """Check that everything fits together, and draw schedule and identifiers; no image is read.

    Raises:
        InputError: it does not; the message says what.
    """
    unknown = [name for name in protocol.training_cases if name not in cases]
    if unknown:
        raise InputError(
            f"The protocol has the training case {unknown[0]}, which is not given.", "Give its folder, too."
        )
    for mode in protocol.modes:
        if not form.asked(mode.kind):
            raise InputError(f"The form asks nothing in the mode {mode.kind}.", 'Add it to the "modes" of some items.')
        wrong = [role for role in mode.sources if role not in list(Role)]
        if wrong:
            raise InputError(f"The mode {mode.kind} shows {wrong[0]}, which is no role.", f"Known: {', '.join(Role)}.")
        revealing = [role for role in mode.sources if role in _REVEALING]
        if revealing:
            raise InputError(
                f"The mode {mode.kind} shows {revealing[0]} beside, which tells the arm of the map.", "Leave it out."
            )
    for each in cases.values():
        for arm in protocol.arms:
            arm_file(arm, each.case, each.folder)
    training = [name for name in cases if name in protocol.training_cases]
    schedule = make_schedule(protocol, [name for name in cases if name not in training], training)
    return blind(protocol, schedule, {name: [str(role) for role in each.case.files] for name, each in cases.items()})


def write_study(
    folder: Path, protocol: Protocol, form: Form, blinded: Blinded, *, simulated_cases: bool, clock: Clock = utc_now
) -> Study:
    """Write study.json, with the checksums of the images that are there, and the record."""
    images = folder / IMAGES
    checksums = {path.stem: image_checksum(path.stem, path) for path in sorted(images.glob("*"))}
    text = study_json(
        protocol, form, blinded.presentations, blinded.schedules, checksums, simulated_cases=simulated_cases
    )
    write_text_atomically(folder / STUDY_FILE, text)
    study = Study.read(folder)
    create_record(folder, study, clock)
    return study


def write_key(
    path: Path,
    study: Study,
    protocol: Protocol,
    blinded: Blinded,
    truth: Mapping[str, Mapping[str, Any]],
    simulated: Sequence[str] = (),
) -> Key:
    """Write the key of a study; `simulated` are the ids of the cases that are."""
    read = {case for case, _ in blinded.maps.values()} - set(protocol.training_cases)
    key = Key(
        study=study.id,
        study_sha256=study.sha256,
        protocol=protocol,
        arms={image: arm for image, (_, arm) in sorted(blinded.maps.items())},
        cases={image: case for image, (case, _) in sorted({**blinded.maps, **blinded.sources}.items())},
        truth=truth,
        duplicates=dict(sorted(blinded.duplicates.items())),
        repeated_cases=repeats(protocol, len(read)),
        simulated=tuple(simulated),
    )
    key.write(path)
    return key


def truth_of(
    cases: Mapping[str, StudyCase], given: Mapping[str, Mapping[str, Any]], protocol: Protocol, form: Form
) -> dict[str, dict[str, Any]]:
    """What is known about each case; what a diagnosis is compared with must be there, but for training cases.

    Raises:
        InputError: a field is missing or none of the answers that the form offers, or a case is unknown.
    """
    unknown = [name for name in given if name not in cases]
    if unknown:
        raise InputError(f"The truth has the case {unknown[0]}, which is not in the study.", "Correct its identifier.")
    truth = {
        name: {field: str(value).strip() for field, value in {**_grade(each.case), **given.get(name, {})}.items()}
        for name, each in cases.items()
    }
    judged = {name: facts for name, facts in truth.items() if name not in protocol.training_cases}
    for item in (item for mode in protocol.modes for item in form.asked(mode.kind)):
        lacking = [name for name, facts in judged.items() if item.truth and not facts.get(item.truth)]
        if lacking:
            raise InputError(
                f'The truth of "{item.truth}" is not known for the case {lacking[0]}.',
                f"Give --truth FILE.csv with the columns case,{item.truth}.",
            )
        possible = [str(option.value) for option in item.options]
        wrong = [name for name, facts in judged.items() if item.truth and facts[item.truth] not in possible]
        if wrong:
            value = judged[wrong[0]][item.truth]
            raise InputError(
                f'The truth of "{item.truth}" is {value!r} for the case {wrong[0]}, which the item {item.id} lacks.',
                f"Write one of {', '.join(possible)}, the values of its options.",
            )
    return truth


def _grade(case: Case) -> dict[str, Any]:
    return {"grade": case.facts["grade"]} if "grade" in case.facts else {}


def _write_images(
    blinded: Blinded, cases: Mapping[str, StudyCase], protocol: Protocol, folder: Path, reporter: Reporter
) -> None:
    folder.mkdir()
    maps, sources = _by_case(blinded.maps), _by_case(blinded.sources)
    for number, (name, each) in enumerate(cases.items()):
        part = Part(reporter, number / len(cases), (number + 1) / len(cases))
        part.progress("images", 0.0)
        roles = sorted({role for _, role in sources[name]})
        placed, beside = place_case(each.case, each.folder, protocol, roles, Part(part, 0.0, 0.3))
        wanted = {arm for _, arm in maps[name]}
        chosen = {arm: value for arm, value in placed.items() if arm in wanted}
        arrays, affine = equalise(chosen, protocol.display, Part(part, 0.3, 0.7))
        files = {image: (arrays[arm], affine) for image, arm in maps[name]}
        files |= {image: (beside[role].array, beside[role].affine) for image, role in sources[name]}
        _require_room(folder, sum(array.nbytes for array, _ in files.values()) * (len(cases) - number), protocol)
        for place, (image, (array, own_affine)) in enumerate(sorted(files.items())):
            part.progress("images", 0.7 + 0.3 * place / len(files))
            write_image(folder / f"{image}.nii", array, own_affine)
    reporter.progress("images", 1.0)


def _by_case(images: Mapping[str, tuple[str, str]]) -> defaultdict[str, list[tuple[str, str]]]:
    """Case → (neutral image id, arm or role)."""
    found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for image, (case, what) in images.items():
        found[case].append((image, what))
    return found


def _require_room(folder: Path, needed: int, protocol: Protocol) -> None:
    """Raise `OutputError` before the disk is full, because a study takes long to make."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        less = "Take fewer cases or modes, show less beside the maps, or put maps and anatomy on larger voxels"
        if not protocol.shared_images:
            less = 'Leave out "shared_images: false" in the protocol, take fewer cases'
        raise OutputError(
            f"The images need about {needed / 1e9:.1f} GB more, the disk has {free / 1e9:.1f} GB.",
            f"Choose another disk with --out. {less}.",
        )

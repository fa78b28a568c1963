"""The case folder: case.json, and folders that have none but files with telling names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from HierSynthLib.case.roles import Role
from HierSynthLib.errors import InputError
from HierSynthLib.files import write_text_atomically

FILE_NAME = "case.json"
VERSION = 1

_FIELDS = {"version": int, "id": str, "simulated": bool, "roles": dict, "labels": dict, "facts": dict}
_OPTIONAL = ("labels", "facts")
_TYPE_NAMES = {int: "a whole number", str: "a text", bool: "true or false", dict: "an object {…}"}
_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".npy")
_ID = re.compile(r"[^/\\\x00-\x1f]{1,64}")

# Endings of file names, as the BraTS, UCSF-PDGM, UPenn-GBM and TCGA collections and BIDS use them.
_ENDINGS = {
    Role.T1: ("t1", "t1n", "t1w", "t1_pre"),
    Role.T2: ("t2", "t2w"),
    Role.FLAIR: ("flair", "t2f", "fla"),
    Role.ADC: ("adc",),
    Role.ASL: ("asl",),
    Role.T1CE: ("t1ce", "t1c", "t1gd", "t1_ce", "t1_gd", "t1_post"),
    Role.DSC: ("dsc",),
    Role.CBV_ACQUIRED: ("cbv_acquired", "cbv", "rcbv", "nrcbv"),
    Role.CBV_TRUE: ("cbv_true",),
    Role.ROI: ("roi", "seg", "tumor_segmentation"),
    Role.BRAIN: ("brain_mask", "brainmask", "brain_segmentation"),
}
_CONTRAST = {"ce", "gd", "gad", "gadolinium", "contrast", "post"}
_NAMES = "T1, T2, FLAIR or ADC, for example T1.nii.gz or patient7_T1.nii.gz"


@dataclass(frozen=True)
class Case:
    """The volumes of one examination by the part that they play.

    Attributes:
        id: a neutral identifier, at most 64 characters, without slashes; it appears in names and logs.
        files: image file or DICOM folder of each role.
        units: units of each role where the file does not tell.
        labels: names of the values in ROI.
        simulated: whether this is a simulated patient.
        facts: anything else that JSON can hold, e.g. seed and true transforms of a simulated patient.
    """

    id: str
    files: dict[Role, Path]
    units: dict[Role, str] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    simulated: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> Case:
        """`read` where there is a case.json, and `discover` otherwise."""
        folder = Path(folder)
        return cls.discover(folder) if folder.is_dir() and not (folder / FILE_NAME).exists() else cls.read(folder)

    @classmethod
    def read(cls, folder: Path) -> Case:
        """Read case.json from a folder (or given itself); the files need not exist.

        Raises:
            InputError: it is missing, no JSON, of a newer version, or one of its fields is not as it should be.
        """
        path = Path(folder) / FILE_NAME if Path(folder).is_dir() else Path(folder)
        try:
            data = json.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError as error:
            raise InputError(f"{path} does not exist.", "Check the name of the case folder.") from error
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the permissions.") from error
        except ValueError as error:
            raise InputError(f"{path} is not valid JSON: {error}.", "Correct it, or write the case again.") from error
        try:
            return cls._from_json(data, path.parent)
        except _FieldError as error:
            raise InputError(f"{path}: {error}", "Correct this field, or write the case again.") from error

    @classmethod
    def discover(cls, folder: Path) -> Case:
        """Take a folder without case.json as a case, by the names of its files.

        A name counts by its ending: "T1.nii.gz", "patient7_t1n.nii.gz" and the DICOM folder "T1" are all T1; the usual
        endings of public collections (t1n, t2w, t2f, FLAIR, seg …) are known.

        Raises:
            InputError: there is no folder, no sequence in it, or there are several files for a role.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder.", "Give the folder of a case.")
        found: dict[Role, list[Path]] = {}
        for path in sorted(folder.iterdir()):
            role = _role_of(path)
            if role:
                found.setdefault(role, []).append(path)
        for role, paths in found.items():
            if len(paths) > 1:
                names = ", ".join(path.name for path in paths)
                raise InputError(f"{folder} has several files for {role}: {names}.", "Keep one, or name it on its own.")
        if not found:
            raise InputError(f"{folder} has no {FILE_NAME} and no volume named like {_NAMES}.", "Rename the files.")
        identifier = re.sub(r"[^\w.-]+", "_", folder.resolve().name)[:64] or "case"
        return cls(identifier, {role: found[role][0] for role in Role if role in found})

    def write(self, folder: Path, *, overwrite: bool = False) -> None:
        """Write case.json; files inside the folder are named relative to it, others by their absolute path.

        Raises:
            OutputError: there is a case.json already and `overwrite` is False, or it cannot be written.
            ValueError: the identifier is not usable.
        """
        if not _ID.fullmatch(self.id):
            raise ValueError(f"The case identifier {self.id!r} has a slash, a control character or no or > 64 letters.")
        folder = Path(folder).absolute()
        data = {
            "version": VERSION,
            "id": self.id,
            "simulated": self.simulated,
            "roles": {
                str(role): {"file": _name_from(folder, path), "units": self.units.get(role, "")}
                for role, path in self.files.items()
            },
            "labels": {str(value): name for value, name in self.labels.items()},
            "facts": self.facts,
        }
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_text_atomically(folder / FILE_NAME, text, overwrite=overwrite)

    @classmethod
    def _from_json(cls, data: object, folder: Path) -> Case:
        fields = _checked_fields(data)
        files, units = {}, {}
        for name, entry in fields["roles"].items():
            if name not in list(Role):
                raise _FieldError(f'"roles" has the unknown role "{name}"; known are {", ".join(Role)}.')
            where = f'"roles" → "{name}"'
            if not isinstance(entry, dict) or not isinstance(entry.get("file"), str) or not entry["file"]:
                raise _FieldError(f'{where} should be an object with "file" (a text).')
            if not isinstance(entry.get("units", ""), str) or set(entry) - {"file", "units"}:
                raise _FieldError(f'{where} should have only "file" and "units" (texts).')
            files[Role(name)] = folder / entry["file"]
            if entry.get("units"):
                units[Role(name)] = entry["units"]
        return cls(fields["id"], files, units, _checked_labels(fields["labels"]), fields["simulated"], fields["facts"])


class _FieldError(Exception):
    """A field of case.json is not as it should be."""


def _checked_fields(data: object) -> Mapping[str, Any]:
    """All fields, each of its type."""
    if not isinstance(data, dict):
        raise _FieldError("an object {…} is expected.")
    version = data.get("version")
    if isinstance(version, int) and version > VERSION:
        raise _FieldError(f'"version" is {version}, newer than this program knows ({VERSION}); update HierSynth.')
    for name, kind in _FIELDS.items():
        if name not in data and name not in _OPTIONAL:
            raise _FieldError(f'the field "{name}" is missing.')
        value = data.get(name, {})
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _FieldError(f'"{name}" should be {_TYPE_NAMES[kind]}.')
    unknown = sorted(set(data) - set(_FIELDS))
    if unknown:
        raise _FieldError(f'the field "{unknown[0]}" is unknown.')
    if data["version"] < 1:
        raise _FieldError(f'"version" should be {VERSION}.')
    if not _ID.fullmatch(data["id"]):
        raise _FieldError('"id" should have 1 to 64 characters without slashes.')
    return {"labels": {}, "facts": {}} | data


def _checked_labels(labels: Mapping[str, object]) -> dict[int, str]:
    named = {}
    for value, name in labels.items():
        if not value.isascii() or not value.isdigit() or not isinstance(name, str):
            raise _FieldError(f'"labels" → "{value}" should be a whole number with a name, e.g. "1": "enhancing".')
        named[int(value)] = name
    return named


def _role_of(path: Path) -> Role | None:
    """The role that a file or folder has by its name."""
    if path.name.startswith("."):
        return None
    stem = path.name.lower()
    if path.is_file():
        suffix = next((suffix for suffix in _SUFFIXES if stem.endswith(suffix)), None)
        if suffix is None:
            return None
        stem = stem.removesuffix(suffix)
    stem = re.sub(r"[^a-z0-9]+", "_", stem)
    for role, endings in _ENDINGS.items():
        if any(stem == ending or stem.endswith(f"_{ending}") for ending in endings):
            enhanced = role == Role.T1 and not _CONTRAST.isdisjoint(stem.split("_"))  # BIDS: …_ce-gadolinium_T1w
            return Role.T1CE if enhanced else role
    return None


def _name_from(folder: Path, path: Path) -> str:
    absolute = Path(path).absolute()
    return absolute.relative_to(folder).as_posix() if absolute.is_relative_to(folder) else str(absolute)

"""The study as the reading part sees it: form, public protocol, presentations and schedules, but no arm and no case."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.fields import Fields
from HierSynthLib.reader_study.form import MODE_KINDS, Form, ModeKind
from HierSynthLib.reader_study.protocol import Protocol

STUDY_FILE, RECORD_FILE, IMAGES = "study.json", "record.sqlite", "images"
IMAGE_SUFFIX = ".nii"
"""Not compressed: the size of a compressed file tells how noisy the map is, and so its arm."""

VERSION = 1


@dataclass(frozen=True)
class Presentation:
    """What is shown at one position.

    Attributes:
        id: neutral.
        mode: how it is shown.
        images: neutral ids of the maps: one, or left and right.
        sources: role → neutral id of the images shown beside.
        labels: of an unblinded presentation the arm of each map, otherwise empty.
    """

    id: str
    mode: ModeKind
    images: tuple[str, ...]
    sources: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


class Slot(NamedTuple):
    """One position in the schedule of a reader.

    Attributes:
        position: number from 1, in the order of reading.
        session: number from 1.
        presentation: what is shown.
        training: whether the answers are for practice only.
    """

    position: int
    session: int
    presentation: Presentation
    training: bool


@dataclass(frozen=True)
class Study:
    """What study.json holds.

    Attributes:
        folder: of the study.
        id, title: of the study.
        form: what is asked.
        protocol: without arms, seed, names of cases and share of duplicates.
        presentations: by neutral id.
        schedules: reader → slots in the order of reading.
        checksums: neutral image id → SHA-256 of the id followed by the file.
        simulated_cases: whether any patient is simulated.
        sha256: of study.json.
    """

    folder: Path
    id: str
    title: str
    form: Form
    protocol: Protocol
    presentations: Mapping[str, Presentation]
    schedules: Mapping[str, tuple[Slot, ...]]
    checksums: Mapping[str, str]
    simulated_cases: bool
    sha256: str

    @classmethod
    def read(cls, folder: Path) -> Study:
        """Read the study of a folder.

        Raises:
            InputError: there is no study.json, or it is not as it should be.
        """
        folder = Path(folder)
        path = folder / STUDY_FILE
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(
                f"{folder} has no {STUDY_FILE}.", "Give the folder that 'hiersynth study create' made."
            ) from error
        try:
            data = json.loads(content)
        except ValueError as error:
            raise InputError(f"{path} is damaged.", "Restore it from a copy; the record is not affected.") from error
        return _parse(data, folder, hashlib.sha256(content).hexdigest())

    @property
    def readers(self) -> tuple[str, ...]:
        """Codes of the readers."""
        return self.protocol.readers

    def slots(self, reader: str) -> tuple[Slot, ...]:
        """The schedule of a reader.

        Raises:
            InputError: the study has no such reader.
        """
        if reader not in self.schedules:
            raise InputError(f"The study has no reader {reader}.", f"Its readers are {', '.join(self.readers)}.")
        return self.schedules[reader]

    def image_file(self, image: str) -> Path:
        """Where a neutral image lies."""
        return self.folder / IMAGES / f"{image}{IMAGE_SUFFIX}"

    def files(self, presentation: Presentation) -> tuple[Path, ...]:
        """Every file that a presentation needs."""
        return tuple(self.image_file(image) for image in (*presentation.images, *presentation.sources.values()))


def study_json(
    protocol: Protocol,
    form: Form,
    presentations: Sequence[Presentation],
    schedules: Mapping[str, Sequence[tuple[int, str, bool]]],
    checksums: Mapping[str, str],
    *,
    simulated_cases: bool,
) -> str:
    """The text of study.json.

    Args:
        protocol: of which the public part is written.
        form: what is asked.
        presentations: in any order; they are written in the order of their neutral ids.
        schedules: reader → (session, presentation, training) in the order of reading.
        checksums: see `Study`.
        simulated_cases: see `Study`.
    """
    data = {
        "version": VERSION,
        "id": protocol.id,
        "title": protocol.title,
        "simulated_cases": simulated_cases,
        "protocol": protocol.public().as_json(),
        "form": form.as_json(),
        "presentations": {
            each.id: {
                "mode": each.mode,
                "images": list(each.images),
                "sources": dict(each.sources),
                **({"labels": list(each.labels)} if each.labels else {}),
            }
            for each in sorted(presentations, key=lambda each: each.id)
        },
        "schedules": {reader: [list(slot) for slot in slots] for reader, slots in schedules.items()},
        "checksums": dict(sorted(checksums.items())),
    }
    return json.dumps(data, ensure_ascii=False, indent=None, separators=(",", ":")) + "\n"


def _parse(data: object, folder: Path, sha256: str) -> Study:
    where = str(folder / STUDY_FILE)
    fields = Fields(data, where)
    fields.whole("version", least=1, most=VERSION)
    presentations = {
        identifier: _presentation(identifier, entry, where)
        for identifier, entry in fields.mapping("presentations").items()
    }
    study = Study(
        folder,
        fields.text("id"),
        fields.text("title"),
        Form.parse(fields.anything("form"), f"{where} → form"),
        Protocol.parse_public(fields.anything("protocol"), f"{where} → protocol"),
        presentations,
        {reader: _slots(raw, presentations, fields) for reader, raw in fields.mapping("schedules").items()},
        fields.mapping("checksums"),
        fields.flag("simulated_cases", False),
        sha256,
    )
    fields.finish()
    if set(study.schedules) != set(study.readers):
        raise fields.fault("schedules", "should have the readers of the protocol")
    return study


def _presentation(identifier: str, entry: object, where: str) -> Presentation:
    fields = Fields(entry, f"{where} → presentations → {identifier}")
    mode: ModeKind = fields.text("mode", choices=MODE_KINDS)  # type: ignore[assignment]
    presentation = Presentation(
        identifier, mode, fields.names("images"), fields.mapping("sources", {}), fields.names("labels", ())
    )
    fields.finish()
    if len(presentation.images) != (2 if mode in ("side_by_side", "unblinded") else 1):
        raise fields.fault("images", "has another number of maps than its mode shows")
    return presentation


def _slots(raw: Any, presentations: Mapping[str, Presentation], fields: Fields) -> tuple[Slot, ...]:
    slots = []
    for position, entry in enumerate(raw if isinstance(raw, list) else [None], start=1):
        if not isinstance(entry, list) or len(entry) != 3 or entry[1] not in presentations:
            raise fields.fault("schedules", f"has a damaged entry at position {position}")
        session, identifier, training = entry
        slots.append(Slot(position, int(session), presentations[identifier], bool(training)))
    return tuple(slots)

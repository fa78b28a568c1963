"""The key: which neutral image is which arm of which case. Reading code never opens it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from HierSynthLib.errors import InputError
from HierSynthLib.files import atomic_file
from HierSynthLib.reader_study.fields import Fields
from HierSynthLib.reader_study.protocol import Protocol
from HierSynthLib.reader_study.study import Study

VERSION = 1
_OWNER_ONLY = 0o600


@dataclass(frozen=True)
class Key:
    """What unblinds a study.

    Attributes:
        study: identifier of the study.
        study_sha256: of its study.json.
        protocol: the whole protocol, with arms and seed.
        arms: neutral image id → name of the arm; images of sources are not in it.
        cases: neutral image id → case id, for maps and sources.
        truth: case id → facts such as {"grade": "high"}.
        duplicates: presentation → the presentation that it repeats.
        repeated_cases: how many cases of each arm, or pair of arms, every reader is shown a second time in a mode.
        simulated: ids of the cases whose patients are simulated.
    """

    study: str
    study_sha256: str
    protocol: Protocol
    arms: Mapping[str, str]
    cases: Mapping[str, str]
    truth: Mapping[str, Mapping[str, Any]]
    duplicates: Mapping[str, str]
    repeated_cases: int = 0
    simulated: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Key:
        """Read a key file.

        Raises:
            InputError: it is missing or no key.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"The key {path} cannot be read.", "Give the key that was written with the study."
            ) from error
        except ValueError as error:
            raise InputError(f"The key {path} is no JSON.", "Give the key that was written with the study.") from error
        fields = Fields(data, str(path))
        fields.whole("version", least=1, most=VERSION)
        key = cls(
            fields.text("study"),
            fields.text("study_sha256"),
            Protocol.parse(fields.anything("protocol"), f"{path} → protocol"),
            fields.mapping("arms"),
            fields.mapping("cases"),
            fields.mapping("truth"),
            fields.mapping("duplicates"),
            fields.whole("repeated_cases", 0),
            tuple(str(each) for each in fields.items("simulated", ())),
        )
        fields.finish()
        return key

    @classmethod
    def of(cls, study: Study, path: Path) -> Key:
        """Read the key of this study.

        Raises:
            InputError: it is missing, no key, or that of another study or of another version of this one.
        """
        key = cls.read(path)
        if key.study != study.id or key.study_sha256 != study.sha256:
            raise InputError(
                f"The key {path} does not belong to the study in {study.folder}, or its study.json was changed.",
                "Give the key that was written with this study; 'hiersynth study verify' finds changes.",
            )
        return key

    def write(self, path: Path) -> None:
        """Write the key, readable by its owner only.

        Raises:
            OutputError: the file exists or cannot be written.
        """
        data = {
            "version": VERSION,
            "study": self.study,
            "study_sha256": self.study_sha256,
            "protocol": self.protocol.as_json(),
            "arms": dict(self.arms),
            "cases": dict(self.cases),
            "truth": {case: dict(facts) for case, facts in self.truth.items()},
            "duplicates": dict(self.duplicates),
            "repeated_cases": self.repeated_cases,
            "simulated": list(self.simulated),
        }
        with atomic_file(path) as temporary:
            temporary.touch(mode=_OWNER_ONLY)
            with contextlib.suppress(OSError):  # a disk without permissions
                temporary.chmod(_OWNER_ONLY)
            temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

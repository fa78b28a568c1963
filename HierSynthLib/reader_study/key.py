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
    """

    study: str
    study_sha256: str
    protocol: Protocol
    arms: Mapping[str, str]
    cases: Mapping[str, str]
    truth: Mapping[str, Mapping[str, Any]]
    duplicates: Mapping[str, str]

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
        )
        fields.finish()
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
        }
        with atomic_file(path) as temporary:
            temporary.touch(mode=_OWNER_ONLY)
            with contextlib.suppress(OSError):  # a disk without permissions
                temporary.chmod(_OWNER_ONLY)
            temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

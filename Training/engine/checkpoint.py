"""Checkpoints: everything that a run needs to go on as if it had never stopped, whole or absent on the disk.

    checkpoints/step-00000400/state.safetensors   every module, averaged weights, best weights, optimiser states
    checkpoints/step-00000400/state.json          stage, step, settings and examinations of the run, best measure

Nothing random is stored: what a step draws depends on the seed and the number of the step alone (see `schedule`).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.files import atomic_folder
from HierSynthLib.progress import Reporter
from Training.config import TrainingConfig, settings_of

FORMAT = 2
STATE, RECORD = "state.safetensors", "state.json"
_NAME = re.compile(r"step-(\d{8})")
_ARCHITECTURE = ("method", "network", "architecture", "adversary")
_ANEW = "another --out, or --fresh to begin anew (the old run is kept aside)."
_NAMED = 3
"""So many differences are named."""

Members = Mapping[str, Sequence[str]]
"""Split, patient and key in the cache of every examination by its identifier."""

# What may differ between two parts of one run, as it has no influence on the weights; the examinations that follow from
# it are compared themselves.
_FREE = {
    ("name",),
    ("version",),
    ("weights",),
    ("keep",),
    ("checkpoint_every",),
    ("log_every",),
    ("tensorboard",),
    ("data", "folder"),
    ("data", "splits"),
    ("data", "division_seed"),
    ("data", "exclude"),
}


@dataclass(frozen=True)
class Checkpoint:
    """One state of a run.

    Attributes:
        tensors: by name, on the CPU.
        record: stage (index), step (within the stage), total (steps in all stages), settings, and what the run adds.
    """

    tensors: dict[str, Tensor]
    record: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix` and a point, under the rest of their names."""
        start = f"{prefix}."
        return {name.removeprefix(start): value for name, value in self.tensors.items() if name.startswith(start)}


class CheckpointStore:
    """The checkpoints of one run in one folder.

    Args:
        folder: made when the first one is written.
        config: of the run; checkpoints of other settings are refused.
        keep: number of checkpoints kept; each holds the best weights so far as well.
        members: the examinations of the run; checkpoints of others, or of another division, are refused.
    """

    def __init__(self, folder: Path, config: TrainingConfig, keep: int, members: Members | None = None) -> None:
        self._folder, self._config, self._keep = folder, config, keep
        self._members = {name: list(entry) for name, entry in (members or {}).items()}

    def steps(self) -> list[int]:
        """The total steps at which there are checkpoints, ascending."""
        paths = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted(int(match[1]) for path in paths if (match := _NAME.fullmatch(path.name)))

    def path(self, total: int) -> Path:
        """The folder of the checkpoint after `total` steps."""
        return self._folder / f"step-{total:08d}"

    def save(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> Path:
        """Write a checkpoint, then remove the oldest ones beyond the number kept.

        Args:
            tensors: by name, on any device.
            record: with at least stage, step and total.

        Raises:
            OutputError: it cannot be written (full disk, permission); the earlier ones stay.
        """
        from safetensors.torch import save

        target = self.path(record["total"])
        full = {"format": FORMAT, **record, "settings": settings_of(self._config), "examinations": self._members}
        try:
            with atomic_folder(target, overwrite=True) as folder:
                # Cloned: safetensors refuses tensors that share memory, as those of two modules with a common part do.
                copies = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
                (folder / STATE).write_bytes(save(copies))
                (folder / RECORD).write_text(json.dumps(full, indent=1), "utf-8")
        except OutputError as error:
            earlier = [step for step in self.steps() if step < record["total"]]
            last = f"The last good checkpoint is that of step {earlier[-1]}." if earlier else "There is none before it."
            raise OutputError(f"{error.message} {last}", f"{error.hint} Then run the same command again.") from error
        for step in self.steps()[: -self._keep]:
            self._remove(self.path(step))
        return target

    def latest(self, reporter: Reporter) -> Checkpoint | None:
        """The newest checkpoint that can be read, or None where there is none; damaged ones are set aside.

        Raises:
            InputError: it was made by another version, with another network, with other settings or from other
                examinations; says which.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        for step in reversed(self.steps()):
            path = self.path(step)
            try:
                record = json.loads((path / RECORD).read_text("utf-8"))
                tensors = load_file(path / STATE)
                total = int(record["total"])
            except (OSError, ValueError, TypeError, KeyError, SafetensorError):
                reporter.warning(f"The checkpoint {path.name} is damaged; it is set aside as damaged-{path.name}.")
                shutil.rmtree(self._folder / f"damaged-{path.name}", ignore_errors=True)
                path.rename(self._folder / f"damaged-{path.name}")
                continue
            if record.get("format") != FORMAT or total != step:
                raise InputError(f"{path}: a checkpoint of another version.", "Begin anew with --fresh.")
            self._require_same_run(record.get("settings"), path)
            self._require_same_data(record.get("examinations"), path)
            return Checkpoint(tensors, record)
        return None

    def clean(self) -> None:
        """Remove what a killed run left under temporary names; call it when no other process uses the folder."""
        for path in self._folder.glob(".*") if self._folder.is_dir() else ():
            shutil.rmtree(path, ignore_errors=True)

    def _remove(self, path: Path) -> None:
        """Out of sight first: what is interrupted then does not leave half a checkpoint."""
        hidden = path.with_name(f".removing-{path.name}")
        shutil.rmtree(hidden, ignore_errors=True)
        path.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)

    def _require_same_run(self, settings: Any, path: Path) -> None:
        there, here = _flat(settings), _flat(settings_of(self._config))
        differing = [key for key in (*here, *(k for k in there if k not in here)) if there.get(key) != here.get(key)]
        differing = [key for key in differing if key not in _FREE]
        if not differing:
            return
        shape = [key for key in differing if key[0] in _ARCHITECTURE]
        kind = "of another architecture" if shape else "made with other settings"
        words = "; ".join(
            f"{'.'.join(key)} is {_words(there.get(key))} there and {_words(here.get(key))} here"
            for key in (shape or differing)[:_NAMED]
        )
        raise InputError(f"{path}: this checkpoint is {kind}: {words}.", f"Give the old settings to go on, {_ANEW}")

    def _require_same_data(self, there: Any, path: Path) -> None:
        """A patient who was trained on must not be tested after the run has gone on."""
        there, here = there if isinstance(there, dict) else {}, self._members
        differing = [name for name in sorted({*there, *here}) if there.get(name) != here.get(name)]
        if not differing:
            return
        words = "; ".join(_difference(name, there.get(name), here.get(name)) for name in differing[:_NAMED])
        more = f"; and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        raise InputError(
            f"{path}: this checkpoint is of other data: {words}{more}.",
            f"Give the old data and division (splits.json of the run) to go on, {_ANEW}",
        )


def _difference(name: str, there: Sequence[str] | None, here: Sequence[str] | None) -> str:
    """How an examination (split, patient, key) differs from what it was."""
    if there is None:
        return f"{name} is new"
    if here is None:
        return f"{name} is not used any more"
    if there[0] != here[0]:
        return f"{name} was for {there[0]} and is for {here[0]} now"
    return f"{name} has other files, or was prepared in another way"


def _flat(values: Any, above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(values, dict):
        return {above: values} if above else {}
    result: dict[tuple[str, ...], Any] = {}
    for key, value in values.items():
        result |= _flat(value, (*above, key))
    return result


def _words(value: Any) -> str:
    return "not set" if value is None else str(value)

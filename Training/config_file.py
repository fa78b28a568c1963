"""From YAML files to checked settings: unknown keys with the nearest known one, types, ranges, `extends`."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from HierSynthLib.errors import InputError

SHIPPED = Path(__file__).parent / "configs"
LONGEST_CHAIN = 10
"""Files that may extend one another; a longer chain is a circle."""


def setting(default: Any, *, least: float = 0, most: float = math.inf, above: float = -math.inf) -> Any:
    """A field of a configuration with the range of its numbers (`above` is excluded, `least` and `most` are not)."""
    return dataclasses.field(default=default, metadata={"least": least, "most": most, "above": above})


def find_config(name: str | Path) -> Path:
    """The file called `name`, or the shipped configuration of that name, e.g. "demo" or "compare/unet".

    Raises:
        InputError: there is neither.
    """
    path = Path(name)
    return path if path.is_file() else _shipped(path)


def _shipped(name: Path) -> Path:
    """The shipped configuration of that name."""
    file = SHIPPED / f"{name}.yaml" if name.suffix != ".yaml" else SHIPPED / name
    if not name.is_absolute() and ".." not in name.parts and file.is_file():
        return file
    known = sorted(file.relative_to(SHIPPED).with_suffix("").as_posix() for file in SHIPPED.rglob("*.yaml"))
    near = difflib.get_close_matches(str(name).removesuffix(".yaml"), known, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Give a YAML file, or one of: {', '.join(known)}."
    raise InputError(f"{name}: there is no such configuration.", hint)


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a YAML file, laid over those of the one that its key `extends` names.

    That is a file, relative to the one that extends it, or else a shipped configuration, e.g. "upenn-gbm". Sections are
    merged key by key, lists are replaced.

    Raises:
        InputError: a file cannot be read or is no YAML mapping, or the files extend one another in a circle.
    """
    values: dict[str, Any] = {}
    for layer in reversed(_chain(path)):
        values = _merged(values, layer)
    return values


def _chain(path: Path) -> list[dict[str, Any]]:
    layers, seen = [], [path.resolve()]
    while True:
        layer = _read_yaml(path)
        parent = layer.pop("extends", None)
        layers.append(layer)
        if parent is None:
            return layers
        if not isinstance(parent, str):
            raise InputError(
                f"{path}: extends: the name of a file expected, not {parent!r}.", "E.g. base.yaml, or upenn-gbm."
            )
        path = _extended(path, parent)
        if path.resolve() in seen or len(layers) >= LONGEST_CHAIN:
            raise InputError(f"{path}: the files extend one another in a circle.", "Remove one 'extends'.")
        seen.append(path.resolve())


def _extended(path: Path, name: str) -> Path:
    """The file that `path` extends."""
    beside = path.parent / name
    if beside.is_file():
        return beside
    try:
        return _shipped(Path(name))
    except InputError as error:
        raise InputError(f"{path}: extends: {error.message}", error.hint) from error


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}).", "Give a YAML file, e.g. Training/configs/demo.yaml."
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())}).", "Correct the file.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: holds no settings.", "See Training/configs/demo.yaml.")
    return values


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def build(kind: Any, values: Any, where: str) -> Any:
    """An instance of the dataclass `kind` from the mapping `values`.

    Raises:
        InputError: an unknown key (with the nearest known one), a wrong type, a value out of range.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where}: settings expected, not {values!r}.", "Write 'key: value' lines.")
    hints = typing.get_type_hints(kind)
    ranges = {entry.name: entry.metadata for entry in dataclasses.fields(kind)}
    arguments = {}
    for key, value in values.items():
        if key not in hints:
            raise unknown_setting(str(key), hints, where)
        arguments[key] = _convert(hints[key], value, f"{where}: {key}", ranges[key])
    return kind(**arguments)


def unknown_setting(key: str, known: typing.Iterable[str], where: str) -> InputError:
    """The error for a key that does not exist, with the nearest one that does."""
    names = list(known)
    near = difflib.get_close_matches(key, names, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known are: {', '.join(names)}."
    return InputError(f"{where}: unknown setting '{key}'.", hint)


def _convert(kind: Any, value: Any, where: str, limits: Mapping[str, float]) -> Any:
    if dataclasses.is_dataclass(kind):
        return build(kind, value, where)
    if kind == dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise InputError(f"{where}: settings expected, not {value!r}.", "Write 'key: value' lines.")
        return value
    if isinstance(kind, types.GenericAlias):  # tuple[item, ...]
        if not isinstance(value, list):
            raise InputError(f"{where}: a list expected, not {value!r}.", "E.g. [1, 2].")
        return tuple(_convert(typing.get_args(kind)[0], item, where, limits) for item in value)
    if typing.get_origin(kind) is typing.Literal:
        return _choice(typing.get_args(kind), value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        # YAML reads 1e-4 as text: it wants a point in the mantissa.
        hint = "Write 1.0e-4 or 0.0001." if kind is float and isinstance(value, str) else "Correct the value."
        raise InputError(f"{where}: {kind.__name__} expected, not {value!r}.", hint)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        _require_range(value, where, limits)
    return value


def _choice(known: tuple[Any, ...], value: Any, where: str) -> Any:
    if value in known:
        return value
    near = difflib.get_close_matches(str(value), known, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Choose one of: {', '.join(map(str, known))}."
    raise InputError(f"{where}: unknown value {value!r}.", hint)


def _require_range(value: float, where: str, limits: Mapping[str, float]) -> None:
    least, most, above = limits.get("least", 0), limits.get("most", math.inf), limits.get("above", -math.inf)
    if not math.isfinite(value):
        raise InputError(f"{where}: {value} is no finite number.", "Correct the value.")
    if value < least:
        word = "negative" if least == 0 else f"less than {least:g}"
        raise InputError(f"{where}: {value} is {word}.", f"Give at least {least:g}.")
    if value > most:
        raise InputError(f"{where}: {value} is more than {most:g}.", f"Give at most {most:g}.")
    if value <= above:
        raise InputError(f"{where}: {value} is not above {above:g}.", f"Give a value above {above:g}.")

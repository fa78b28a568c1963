"""The messages between a host (panel, command line) and its worker: one JSON object per line, UTF-8, strict JSON.

Requests go to the worker's stdin, events come from its stdout. Each message is a small frozen dataclass whose
fields are the fields of the JSON object; the class attribute `type` is the word in its "type" field. Fields that a
reader does not know are ignored, so that either side may gain some.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, field, fields
from os import PathLike, fspath
from typing import IO, Any, ClassVar, NoReturn

from HierSynthLib.errors import HierSynthError

PROTOCOL = 1
"""Version of this protocol; raised when a message changes its meaning."""

MAX_LINE = 1 << 20
"""Longest line in bytes. Arrays travel as files, so a longer line is garbage."""


class ProtocolError(HierSynthError):
    """A line is no valid message. `job` is the job it belonged to, where that much could be read."""

    kind = "protocol"

    def __init__(self, message: str, hint: str = "", job: str | None = None) -> None:
        super().__init__(message, hint)
        self.job = job


@dataclass(frozen=True)
class Run:
    """Request: run a job of a kind that the worker's job table has."""

    type: ClassVar[str] = "run"
    job: str
    kind: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cancel:
    """Request: stop a job, whether it runs or waits; answered by `Cancelled`."""

    type: ClassVar[str] = "cancel"
    job: str


@dataclass(frozen=True)
class Shutdown:
    """Request: stop whatever runs and end."""

    type: ClassVar[str] = "shutdown"


@dataclass(frozen=True)
class Ready:
    """Event: the worker listens."""

    type: ClassVar[str] = "ready"
    protocol: int
    version: str
    pid: int
    python: str


@dataclass(frozen=True)
class Started:
    """Event: the job's turn has come."""

    type: ClassVar[str] = "started"
    job: str


@dataclass(frozen=True)
class Progress:
    """Event: `fraction` (0–1) of the whole job is done and it is busy with `stage`."""

    type: ClassVar[str] = "progress"
    job: str
    stage: str
    fraction: float


@dataclass(frozen=True)
class Warned:
    """Event: something the user should know although the work goes on."""

    type: ClassVar[str] = "warning"
    job: str | None
    message: str


@dataclass(frozen=True)
class Result:
    """Event, the last of its job: what the job returned."""

    type: ClassVar[str] = "result"
    job: str
    result: dict[str, Any]


@dataclass(frozen=True)
class Cancelled:
    """Event, the last of its job: it was stopped on request and left nothing behind."""

    type: ClassVar[str] = "cancelled"
    job: str


@dataclass(frozen=True)
class Failed:
    """Event, the last of its job: what went wrong, what to do about it, and the last lines of the log.

    `kind` is the word of `HierSynthError.kind`, or "memory", "internal" (an unexpected error), "runtime" (its Python
    lacks a package), "worker" (the process itself failed), "protocol".
    """

    type: ClassVar[str] = "failed"
    job: str | None
    kind: str
    message: str
    hint: str = ""
    log: tuple[str, ...] = ()


Request = Run | Cancel | Shutdown
Event = Ready | Started | Progress | Warned | Result | Cancelled | Failed

_REQUESTS: dict[str, type[Request]] = {cls.type: cls for cls in (Run, Cancel, Shutdown)}
_EVENTS: dict[str, type[Event]] = {
    cls.type: cls for cls in (Ready, Started, Progress, Warned, Result, Cancelled, Failed)
}
_WITHOUT_JOB = (Warned, Failed)


def encode(message: Request | Event) -> bytes:
    """Return the message as one line. Paths are sent as text.

    Raises:
        ProtocolError: a value cannot be said in strict JSON (NaN, infinity, an array) or the line is too long.
    """
    content = {f.name: getattr(message, f.name) for f in fields(message)}
    for name, value in content.items():
        _check(type(message), name, value, job=None)
    try:
        text = json.dumps({"type": message.type, **content}, allow_nan=False, default=_path_as_text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"The {message.type} message cannot be sent as JSON: {error}") from error
    line = text.encode("ascii") + b"\n"
    if len(line) > MAX_LINE:
        raise ProtocolError(f"The {message.type} message is longer than {MAX_LINE} bytes.", "Pass large data as files.")
    return line


def parse_request(line: bytes) -> Request:
    """Return the request that a line holds; raises `ProtocolError`."""
    message: Request = _parse(line, _REQUESTS)
    return message


def parse_event(line: bytes) -> Event:
    """Return the event that a line holds; raises `ProtocolError`."""
    message: Event = _parse(line, _EVENTS)
    return message


def read_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a stream until its end, cutting those that are too long (the parser then refuses them)."""
    while line := stream.readline(MAX_LINE + 1):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE)
        yield line


def _parse(line: bytes, classes: dict[str, Any]) -> Any:
    if len(line) > MAX_LINE:
        raise ProtocolError(f"A line is longer than {MAX_LINE} bytes.")
    try:
        content = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite_float)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"A line is not strict JSON in UTF-8: {error}") from error
    if not isinstance(content, dict):
        raise ProtocolError("A line is not a JSON object.")
    word = content.get("type")
    cls = classes.get(word) if isinstance(word, str) else None
    job = content.get("job") if _is_job(content.get("job")) else None
    if cls is None:
        raise ProtocolError(f'A message has no known "type" (it has one of {", ".join(classes)}).', job=job)
    values = {}
    for f in fields(cls):
        if f.name not in content:
            if f.default is MISSING and f.default_factory is MISSING:
                raise ProtocolError(f'A {word} message lacks the field "{f.name}".', job=job)
            continue
        value = content[f.name]
        _check(cls, f.name, value, job)
        values[f.name] = tuple(value) if isinstance(value, list) else value
    return cls(**values)


def _check(cls: type[Request | Event], name: str, value: object, job: str | None) -> None:
    if name == "job" and value is None and cls in _WITHOUT_JOB:
        return
    holds, expected = _CHECKS[name]
    if not holds(value):
        raise ProtocolError(f'The field "{name}" of a {cls.type} message is not {expected}.', job=job)


def _is_job(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 100 and value.isprintable()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_fraction(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_lines(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(line, str) for line in value)


_CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "job": (_is_job, "a printable text of 1 to 100 characters"),
    "kind": (_is_text, "a text"),
    "parameters": (_is_object, "an object"),
    "protocol": (_is_count, "a count"),
    "version": (_is_text, "a text"),
    "pid": (_is_count, "a count"),
    "python": (_is_text, "a text"),
    "stage": (_is_text, "a text"),
    "fraction": (_is_fraction, "a number from 0 to 1"),
    "message": (_is_text, "a text"),
    "hint": (_is_text, "a text"),
    "log": (_is_lines, "a list of texts"),
    "result": (_is_object, "an object"),
}


def _path_as_text(value: object) -> str:
    if isinstance(value, PathLike):
        return str(fspath(value))
    raise TypeError(f"{type(value).__name__} is not a JSON type")


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON value")


def _finite_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is too large a number")
    return value

"""The protocol: what is said arrives unchanged, what is no message is refused in words, never with another error."""

import io
import json
import math
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from HierSynthLib.worker import messages
from HierSynthLib.worker.messages import ProtocolError, encode, parse_event, parse_request, read_lines

TEXT = st.text(st.characters(codec="utf-8"), max_size=50)
JOB = st.text("abcdef0123456789", min_size=1, max_size=32)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=4)
FRACTION = st.floats(0, 1)

REQUESTS = st.builds(messages.Run, JOB, TEXT, OBJECT) | st.builds(messages.Cancel, JOB) | st.just(messages.Shutdown())
EVENTS = st.one_of(
    st.builds(messages.Ready, st.integers(0, 9), TEXT, st.integers(0, 2**31), TEXT),
    st.builds(messages.Started, JOB),
    st.builds(messages.Progress, JOB, TEXT, FRACTION),
    st.builds(messages.Warned, st.none() | JOB, TEXT),
    st.builds(messages.Result, JOB, OBJECT),
    st.builds(messages.Cancelled, JOB),
    st.builds(messages.Failed, st.none() | JOB, TEXT, TEXT, TEXT, st.lists(TEXT, max_size=3).map(tuple)),
)


@given(REQUESTS)
def test_a_request_arrives_as_it_was_sent(request_sent):
    assert parse_request(encode(request_sent)) == request_sent


@given(EVENTS)
def test_an_event_arrives_as_it_was_sent(event):
    line = encode(event)
    assert parse_event(line) == event
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1


def test_the_words_on_the_wire():
    # What other programs may rely on, written out by hand.
    assert json.loads(encode(messages.Run("j1", "synthesize", {"output": PurePosixPath("/a/b")}))) == {
        "type": "run",
        "job": "j1",
        "kind": "synthesize",
        "parameters": {"output": "/a/b"},
    }
    assert json.loads(encode(messages.Failed("j1", "input", "T1 is missing.", "Give it.", ("last line",)))) == {
        "type": "failed",
        "job": "j1",
        "kind": "input",
        "message": "T1 is missing.",
        "hint": "Give it.",
        "log": ["last line"],
    }
    assert parse_request(b'{"type": "cancel", "job": "j1", "new_field": 1}\r\n') == messages.Cancel("j1")
    assert parse_request(b'{"type": "shutdown"}') == messages.Shutdown()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_protocol_error(line):
    for parse in (parse_request, parse_event):
        refusal = None
        try:
            parse(line)
        except ProtocolError as error:
            refusal = error
        assert refusal is None or (refusal.message and "\n" not in refusal.message)


@given(st.sampled_from(["run", "cancel", "progress", "failed", "ready", "x"]), OBJECT, JSON)
def test_any_json_is_a_message_or_a_protocol_error(word, fields, value):
    line = json.dumps(fields | {"type": word, "job": value}).encode()
    for parse in (parse_request, parse_event):
        try:
            message = parse(line)
        except ProtocolError:
            continue
        assert message.type == word


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "not strict JSON"),
        (b"hello", "not strict JSON"),
        (b"\xff\xfe", "not strict JSON"),
        (b"[1]", "not a JSON object"),
        (b"{}", 'no known "type"'),
        (b'{"type": ["run"]}', 'no known "type"'),
        (b'{"type": "progress", "job": "a"}', 'no known "type"'),  # an event is no request
        (b'{"type": "run", "job": "a"}', 'lacks the field "kind"'),
        (b'{"type": "run", "job": 5, "kind": "k"}', '"job" of a run message is not a printable text'),
        (b'{"type": "run", "job": "", "kind": "k"}', '"job" of a run message is not a printable text'),
        (b'{"type": "run", "job": "a\\nb", "kind": "k"}', '"job" of a run message is not a printable text'),
        (b'{"type": "run", "job": null, "kind": "k"}', '"job" of a run message is not a printable text'),
        (b'{"type": "run", "job": "a", "kind": "k", "parameters": []}', '"parameters" of a run message is not an obj'),
        (b'{"type": "run", "job": "a", "kind": "k", "parameters": {"x": NaN}}', "NaN is not a JSON value"),
        (b'{"type": "run", "job": "a", "kind": "k", "parameters": {"x": 1e999}}', "too large"),
        (b"[" * 100_000, "not strict JSON"),
        (b"1" * 10_000, "not strict JSON"),
        (b" " * (messages.MAX_LINE + 1), "longer than"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(line, said):
    with pytest.raises(ProtocolError) as caught:
        parse_request(line)
    assert said in caught.value.message


@pytest.mark.parametrize("fraction", ["-0.1", "1.1", "true", '"0.5"', "null", "NaN"])
def test_a_fraction_outside_0_to_1_is_refused(fraction):
    with pytest.raises(ProtocolError):
        parse_event(f'{{"type": "progress", "job": "a", "stage": "s", "fraction": {fraction}}}'.encode())


def test_a_refused_request_still_names_its_job():
    with pytest.raises(ProtocolError) as caught:
        parse_request(b'{"type": "run", "job": "j7"}')
    assert caught.value.job == "j7"


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}, b"bytes", "x" * messages.MAX_LINE])
def test_what_strict_json_cannot_say_is_not_sent(value):
    with pytest.raises(ProtocolError):
        encode(messages.Result("j1", {"value": value}))


def test_a_wrong_field_is_not_sent():
    with pytest.raises(ProtocolError):
        encode(messages.Progress("j1", "stage", math.nan))
    with pytest.raises(ProtocolError):
        encode(messages.Result("j1", ["no", "object"]))


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b""))))
def test_lines_are_read_one_by_one(lines):
    stream = io.BytesIO(b"".join(line + b"\n" for line in lines))
    assert [line[:-1] for line in read_lines(stream)] == lines


def test_an_endless_line_is_cut_and_the_next_one_read():
    stream = io.BytesIO(b"x" * (3 * messages.MAX_LINE) + b"\nnext\nunfinished")
    first, second, third = read_lines(stream)
    assert len(first) == messages.MAX_LINE + 1
    assert (second, third) == (b"next\n", b"unfinished")

"""The audit of hotspots and reference: it only grows, and comes back from JSON as it was."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.audit import COLUMNS, Audit

TIME = "2026-01-31T12:00:00Z"


@pytest.fixture
def audit():
    times = iter(datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC) + timedelta(minutes=n) for n in range(9))
    return Audit(clock=lambda: next(times))


def filled(audit):
    audit.record(
        "suggested", "Hotspot 1", to_ras=(10, -20.5, 30), size_after_mm=6, map_name="synthetic", mean_after=2.31
    )
    audit.record(
        "moved", "Hotspot 1", from_ras=(10, -20.5, 30), to_ras=(11, -20, 30), map_name="synthetic", mean_before=2.31
    )
    audit.record("renamed", 'Rim, "left"', note="before: Hotspot 1")
    return audit


def test_entries_are_kept_in_order_with_their_times(audit):
    entries = filled(audit).entries
    assert [entry.action for entry in entries] == ["suggested", "moved", "renamed"]
    assert [entry.time for entry in entries] == [TIME, "2026-01-31T12:01:00Z", "2026-01-31T12:02:00Z"]
    assert entries[1].from_ras == (10.0, -20.5, 30.0)
    assert entries[0].from_ras is None


def test_times_are_utc_wherever_the_clock_stands():
    here = Audit(clock=lambda: datetime(2026, 1, 31, 14, 0, 0, 999, tzinfo=timezone(timedelta(hours=2))))
    assert here.record("removed", "Hotspot 1").time == TIME


def test_nothing_can_be_taken_away(audit):
    filled(audit)
    entries = audit.entries
    assert isinstance(entries, tuple)
    audit.record("removed", "Hotspot 2")
    assert audit.entries[:3] == entries
    with pytest.raises(AttributeError):
        entries[0].region = "other"


def test_json_gives_the_same_audit_back(audit):
    text = json.dumps(filled(audit).to_json())
    back = Audit.from_json(json.loads(text), clock=lambda: datetime(2026, 2, 1, tzinfo=UTC))
    assert back.entries == audit.entries
    assert json.loads(text)[1]["from"] == [10.0, -20.5, 30.0]
    assert back.record("removed", "Rim").time == "2026-02-01T00:00:00Z"
    assert len(back.entries) == len(audit.entries) + 1


def test_csv_is_read_by_any_reader(audit):
    rows = list(csv.DictReader(io.StringIO(filled(audit).to_csv())))
    assert tuple(rows[0]) == COLUMNS
    assert (rows[0]["to_r"], rows[0]["to_a"], rows[0]["from_r"]) == ("10.0", "-20.5", "")
    assert (rows[0]["size_after_mm"], rows[0]["mean_after"], rows[0]["map"]) == ("6.0", "2.31", "synthetic")
    assert rows[2]["region"] == 'Rim, "left"'


def test_an_unknown_mean_is_none(audit):
    assert audit.record("moved", "Hotspot 1", mean_before=float("nan")).mean_before is None


@pytest.mark.parametrize(
    "change",
    [
        {"action": "stolen"},
        {"action": []},
        {"time": "yesterday"},
        {"time": "2026-01-31T12:00:00"},
        {"region": 3},
        {"from": [1, 2]},
        {"from": [1, 2, float("inf")]},
        {"to": "abc"},
        {"mean_before": "2"},
        {"mean_after": float("nan")},
        {"size_after_mm": [3]},
        {"user": "somebody"},
    ],
)
def test_a_faulty_entry_is_named(change):
    good = {"time": TIME, "region": "Hotspot 1", "action": "moved"}
    with pytest.raises(InputError, match=r"^Entry 2 of the audit"):
        Audit.from_json([good, good | change])


@pytest.mark.parametrize("entries", [None, "text", {"time": TIME}])
def test_what_is_no_list_is_no_audit(entries):
    with pytest.raises(InputError, match="no list"):
        Audit.from_json(entries)


def test_faulty_arguments_leave_the_audit_as_it_was(audit):
    with pytest.raises(InputError):
        audit.record("moved", "Hotspot 1", to_ras=(1, 2))
    assert audit.entries == ()

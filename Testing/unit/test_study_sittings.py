"""Sittings of a reader: time that is counted, washout between sessions, looking back."""

import contextlib
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.administration import close_study, study_status
from HierSynthLib.reader_study.record.activity import ActivityClock
from HierSynthLib.reader_study.record.database import open_record
from HierSynthLib.reader_study.record.refusals import ReadEverythingError, WashoutError
from HierSynthLib.reader_study.record.session import sign_in
from HierSynthLib.reader_study.record.store import Store
from HierSynthLib.reader_study.record.washout import require_washout
from HierSynthLib.reader_study.study import Study
from HierSynthLib.reader_study.verify import verify_record
from Testing.reader_studies import Time, at_work, copied, events, make_study, read_everything, read_session, some_answer

OPTIONAL = {"id": "free", "title": "Nothing required", "items": [{"id": "remark", "kind": "text", "text": "Remarks"}]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"), 4)


@pytest.fixture
def folder(made, tmp_path):
    return copied(made, tmp_path / "study")


@pytest.fixture
def time():
    return Time()


def answer_all(session):
    for item in session.items:
        session.answer(item.id, some_answer(item, session.slot))


def test_times_are_those_of_a_stopwatch(folder):
    watch = {"now": 100.0}
    with sign_in(folder, "R1", clock=Time(), monotonic=lambda: watch["now"]) as session:
        session.show()
        watch["now"] += 10
        session.touch()
        watch["now"] += 200  # away: 60 s count as active, the rest as idle
        session.answer("quality", 3)
        watch["now"] += 5
        session.pause()
        with pytest.raises(InputError, match="paused"):
            session.answer("certain", 1)
        watch["now"] += 5000
        session.resume()
        watch["now"] += 7
        session.answer("certain", 1)
    first, second = events(folder, "answered")
    assert (first["active_s"], first["idle_s"]) == (70.0, 140.0)
    assert (second["active_s"], second["idle_s"]) == (12.0, 0.0)


def test_no_time_is_lost_by_going_back_putting_off_or_signing_out(folder):
    watch = {"now": 100.0}

    def wait(seconds):
        watch["now"] += seconds

    with sign_in(folder, "R1", clock=Time(), monotonic=lambda: watch["now"]) as session:
        session.show()
        answer_all(session)
        session.submit()
        wait(1000)  # the next image is loaded
        session.show()
        wait(50)
        session.back()
        wait(2)
        session.show()
        wait(30)
        session.forward()
        session.show()
        wait(1)
        session.show()  # once more is no new beginning
        wait(3)
        session.skip("later")
        session.show()
        wait(7)
        session.pause()
        wait(500)
        session.sign_out()
    left = [body["left"] for body in events(folder, "went_back", "went_forward", "skipped", "signed_out")]
    assert left == [
        {"position": 2, "active_s": 50.0, "idle_s": 0.0, "submitted": False},
        {"position": 1, "active_s": 30.0, "idle_s": 0.0, "submitted": True},
        {"position": 2, "active_s": 4.0, "idle_s": 0.0, "submitted": False},
        {"position": 3, "active_s": 7.0, "idle_s": 0.0, "submitted": False},
    ]
    assert [body["position"] for body in events(folder, "shown")] == [1, 2, 1, 2, 3]


def test_one_command_after_the_other_counts_the_time_between_them(folder, time):
    for _ in range(2):
        with at_work(folder, time, attach=True) as session:
            session.show()
        time.later(seconds=20)
    with at_work(folder, time, attach=True) as session:
        session.sign_out()
    assert [body["position"] for body in events(folder, "shown")] == [1]
    (body,) = events(folder, "signed_out")
    assert body["left"]["active_s"] == pytest.approx(40, abs=12)  # each look at the clock takes a second


@given(st.lists(st.tuples(st.floats(0, 500), st.booleans()), max_size=20))
def test_active_and_idle_time_together_are_the_time_without_pauses(steps):
    watch = {"now": 0.0}
    clock, running = ActivityClock(60.0, lambda: watch["now"]), 0.0
    for seconds, toggle in steps:
        watch["now"] += seconds
        running += 0.0 if clock.paused else seconds
        if toggle:
            clock.resume() if clock.paused else clock.pause()
        else:
            clock.touch()
    active, idle = clock.read()
    assert active + idle == pytest.approx(running, abs=0.002)
    assert active <= 60.0 * (len(steps) + 1)


def test_the_second_session_waits_for_the_washout(folder, time):
    read_session(folder, "R1", time)
    last = time.now
    time.later(days=27.9)
    with (
        pytest.raises(InputError, match=f"Session 2 of R1 may begin on {last.year}-03-29") as caught,
        at_work(folder, time),
    ):
        pass
    assert "reason" in caught.value.hint
    assert events(folder, "washout_overridden") == []
    time.later(days=0.2)
    with at_work(folder, time) as session:
        assert session.number == 2
    with at_work(folder, time, "R2") as session:  # the washout is each reader's own
        assert session.number == 1


@pytest.mark.parametrize("what", ["submitted without an answer", "only looked at", "looked at and put off"])
def test_the_washout_counts_from_what_was_seen_also_without_an_answer(tmp_path, time, what):
    folder = make_study(tmp_path, 2, modes=["side_by_side", "single"], form=OPTIONAL).folder
    with at_work(folder, time) as session:
        for _ in range(2):
            session.show()
            if what == "submitted without an answer":
                session.submit()
            elif what == "looked at and put off":
                session.skip("tired")
        seen = time.now
    with contextlib.closing(sqlite3.connect(folder / "record.sqlite")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM answers").fetchone() == (0,)
    study = Study.read(folder)
    time.later(days=3)
    with pytest.raises(WashoutError) as caught, open_record(folder) as connection:
        require_washout(Store(connection, study, time), "R1", 2)
    assert abs((caught.value.due - seen).total_seconds() - 28 * 86400) < 10
    assert (caught.value.session, caught.value.days) == (2, 28)
    assert caught.value.passed_days == pytest.approx(3, abs=0.001)


def test_what_was_not_seen_and_training_ask_for_no_washout(tmp_path, time):
    folder = make_study(tmp_path, 2, training_cases=["patient-002"]).folder
    with at_work(folder, time) as session:
        session.show()  # the training case
        session.skip("enough")
        session.skip("its image is missing")
    with open_record(folder) as connection:
        require_washout(Store(connection, Study.read(folder), time), "R1", 2)


def test_an_override_is_logged_with_its_reason_and_asked_for_once(folder, time):
    read_session(folder, "R1", time)
    time.later(days=3)
    with at_work(folder, time, override="holiday") as session:
        answer_all(session)
        session.submit()
    with at_work(folder, time) as session:
        assert (session.number, session.slot.position) == (2, 6)
    (found,) = events(folder, "washout_overridden")
    assert found["reason"] == "holiday"
    assert found["session"] == 2
    assert found["required_days"] == 28
    assert found["days"] == pytest.approx(3, abs=0.01)
    assert "Sessions begun before the washout was over: 1." in verify_record(folder).notes


def test_a_finished_session_can_be_looked_back_at_while_the_study_is_open(folder, time):
    with pytest.raises(InputError, match="submitted nothing in session 1"), at_work(folder, time, session=1):
        pass
    read_everything(folder, time)
    with pytest.raises(ReadEverythingError), at_work(folder, time):
        pass
    assert [each["last_session"] for each in study_status(folder)["readers"]] == [2, 2]
    with at_work(folder, time, session=2) as session:
        assert session.slot is None
        assert session.back().position == 8
        session.amend("quality", 2, "wrong key")
        receipt = session.sign_out()
    assert verify_record(folder, [receipt]).problems == []
    assert [(body["position"], body["value"]) for body in events(folder, "amended")] == [(8, 2)]
    # The cases were seen in another arm only a while ago.
    with pytest.raises(WashoutError), at_work(folder, Time(time.now), session=1):
        pass
    close_study(folder, clock=time)
    with pytest.raises(InputError, match="closed"), at_work(folder, time, session=2):
        pass


def test_looking_back_needs_the_protocol(tmp_path, time):
    study = make_study(tmp_path, 2, allow_back=False)
    read_session(study.folder, "R1", time)
    with pytest.raises(InputError, match="does not allow"), at_work(study.folder, time, session=1):
        pass

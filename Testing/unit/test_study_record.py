"""A reader at work: order, durability, locking, amendments, images, isolation."""

import pytest

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.administration import close_study, study_status
from HierSynthLib.reader_study.record.answers import final_answers, read_answers
from HierSynthLib.reader_study.record.refusals import ImageError
from HierSynthLib.reader_study.verify import verify_record
from Testing.reader_studies import Time, at_work, copied, events, make_study, read_everything, read_session, some_answer


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


def test_a_whole_study_gives_every_answer_once(folder, made, time):
    read_everything(folder, time)
    assert verify_record(folder).problems == []
    with pytest.raises(InputError, match="not closed"):
        read_answers(folder)
    close_study(folder, clock=time)
    rows = read_answers(folder)
    expected = {
        (reader, slot.position, item.id): some_answer(item, slot)
        for reader in made.readers
        for slot in made.slots(reader)
        for item in made.form.asked(slot.presentation.mode)
    }
    assert {(row.reader, row.position, row.item): row.value for row in rows} == expected
    assert len(rows) == len(expected) == 2 * 8 * 3
    assert all(row.submitted and row.amendment_of is None and not row.training for row in rows)
    slots = {(reader, slot.position): slot for reader in made.readers for slot in made.slots(reader)}
    assert all(row.presentation == slots[row.reader, row.position].presentation.id for row in rows)


def test_reading_goes_on_at_the_item_where_it_stopped(folder, time):
    with at_work(folder, time) as session:
        session.show()
        answer_all(session)
        session.submit()
        session.answer("quality", 3)
    with at_work(folder, time) as session:
        assert session.slot.position == 2
        assert session.answers() == {"quality": 3}
        assert session.progress[:3] == (1, 1, 4)
        assert session.upcoming.position == 3


def test_an_answer_is_in_the_file_when_the_call_returns(folder, time):
    with at_work(folder, time) as session:
        session.answer("quality", 4)
        (found,) = events(folder, "answered")
    assert (found["item"], found["value"], found["position"]) == ("quality", 4, 1)


def test_the_disk_is_waited_for_at_every_answer(folder, time):
    with at_work(folder, time) as session:
        connection = session._store.connection
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        levels = []
        connection.set_trace_callback(lambda statement: statement == "COMMIT" and levels.append(level(connection)))
        session.show()
        answer_all(session)
        session.submit()
        session.show()
    # 1 NORMAL for "shown", 2 FULL for answers, submission, and the first that is shown of a sitting, from which the
    # washout counts: https://www.sqlite.org/pragma.html#pragma_synchronous
    assert levels == [2, 2, 2, 2, 2, 1]


def level(connection):
    return connection.execute("PRAGMA synchronous").fetchone()[0]


def test_the_same_answer_again_is_not_stored_twice_and_the_last_counts(folder, time):
    with at_work(folder, time) as session:
        for value in (2, 2, 5, 5, 4):
            session.answer("quality", value)
        assert session.answers()["quality"] == 4
    assert [each["value"] for each in events(folder, "answered")] == [2, 5, 4]


def test_submission_needs_the_required_answers_and_locks(folder, time):
    with at_work(folder, time) as session:
        session.answer("quality", 1)
        with pytest.raises(InputError, match="certain: no answer yet"):
            session.submit()
        session.answer("certain", 10)
        session.submit()
        session.back()
        assert session.locked
        with pytest.raises(InputError, match="Position 1 is submitted"):
            session.answer("quality", 2)


def test_an_amendment_keeps_the_old_value_and_needs_a_reason(folder, time):
    with at_work(folder, time) as session:
        answer_all(session)
        session.submit()
        session.back()
        with pytest.raises(InputError, match="reason"):
            session.amend("quality", 5, " ")
        session.amend("quality", 5, "wrong key")
        assert session.answers()["quality"] == 5
        assert session.forward().position == 2
    close_study(folder, incomplete="test", clock=time)
    first, second = (row for row in read_answers(folder) if row.item == "quality")
    assert (first.value, first.amendment_of, first.reason) == (2, None, "")
    assert (second.value, second.amendment_of, second.reason) == (5, first.id, "wrong key")
    final = [row for row in final_answers(read_answers(folder)) if row.item == "quality"]
    assert final == [second]


def test_going_back_only_where_the_protocol_allows_it(tmp_path, time):
    study = make_study(tmp_path, 2, allow_back=False)
    with at_work(study.folder, time) as session:
        answer_all(session)
        session.submit()
        with pytest.raises(InputError, match="does not allow"):
            session.back()


def test_what_is_not_asked_or_not_possible_is_refused(folder, time):
    with at_work(folder, time) as session:
        for item, value, words in (("better", "left", "not asked"), ("none", 1, "no item"), ("quality", 9, "answered")):
            with pytest.raises(InputError, match=words):
                session.answer(item, value)
    assert events(folder, "answered") == []


def test_a_reader_sees_no_other_readers_answers(folder, time):
    with at_work(folder, time, "R1") as one, at_work(folder, time, "R2") as two:
        one.answer("quality", 5)
        one.answer("remark", "my secret")
        assert two.answers() == {}
        two.answer("quality", 1)
        assert one.answers() == {"quality": 5, "remark": "my secret"}
        public = {name: repr(getattr(two, name)) for name in dir(two) if not name.startswith("_")}
    assert not any("my secret" in text for text in public.values())
    assert "my secret" not in str(study_status(folder))


def test_closing_needs_everything_or_a_reason_and_ends_the_reading(folder, time):
    read_session(folder, "R1", time, most=1)
    with pytest.raises(InputError, match=r"R1 \(7\), R2 \(8\)"):
        close_study(folder, clock=time)
    with at_work(folder, time, "R2") as session:
        close_study(folder, incomplete="no more readers", clock=time)
        with pytest.raises(InputError, match="closed"):
            session.answer("quality", 1)
    with pytest.raises(InputError, match="closed"), at_work(folder, time):
        pass
    assert {row.reader for row in read_answers(folder)} == {"R1"}
    assert study_status(folder)["closed"]


def test_unknown_readers_and_finished_ones_are_told(folder, time):
    with pytest.raises(InputError, match="no reader R9"), at_work(folder, time, "R9"):
        pass
    read_everything(folder, time)
    with pytest.raises(InputError, match="R1 has read everything"), at_work(folder, time):
        pass


def test_training_is_marked(tmp_path, time):
    study = make_study(tmp_path, 3, training_cases=["patient-002"])
    read_session(study.folder, "R1", time, most=2)
    close_study(study.folder, incomplete="test", clock=time)
    assert [row.training for row in read_answers(study.folder) if row.item == "quality"] == [True, False]


def test_a_second_process_cannot_answer_what_the_first_submitted(folder, time):
    """Commands attach to one sitting, so nothing but the record tells them of one another."""
    with at_work(folder, time) as first, at_work(folder, time, attach=True) as second:
        answer_all(first)
        first.submit()
        for call in (lambda: second.answer("quality", 5), second.submit, lambda: second.skip("late")):
            second._submitted = set()  # as it was when the process began
            with pytest.raises(InputError, match="Position 1 is submitted"):
                call()
        assert second.forward().position == 2
    assert [body["value"] for body in events(folder, "answered") if body["item"] == "quality"] == [2]
    assert events(folder, "skipped") == []
    assert verify_record(folder).whole


def test_an_image_that_was_changed_is_not_shown(folder, made, time):
    upcoming = made.slots("R1")[1].presentation
    image = made.image_file(upcoming.images[0]).name
    content = (folder / "images" / image).read_bytes()
    (folder / "images" / image).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with at_work(folder, time) as session:
        session.show()
        with pytest.raises(ImageError, match=f"{image} was changed"):
            session.check_images(upcoming)
        answer_all(session)
        session.submit()
        with pytest.raises(ImageError, match=f"{image} of position 2 was changed") as caught:
            session.show()
        assert (caught.value.missing, caught.value.position, caught.value.path.name) == (False, 2, image)
        assert session.show(checked=True).position == 2  # the panel compares while it reads
        (folder / "images" / image).unlink()
        with pytest.raises(ImageError, match="is missing") as caught:
            session.show(checked=True)
        assert caught.value.missing

"""The time left: right where a job runs evenly, unknown at the beginning, calm everywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from HierSynthLib.worker.time_left import TimeLeft, in_words


def test_an_even_job_is_estimated_exactly():
    left = TimeLeft()
    for tenth in range(201):  # 20 s, of which the first 5 % are not measured
        left.report(tenth / 10, tenth / 200)
    assert left.seconds(20.0) == pytest.approx(0.0, abs=0.2)
    left = TimeLeft()
    for tenth in range(101):
        left.report(tenth / 10, tenth / 200)
    assert left.seconds(10.0) == pytest.approx(10.0, rel=0.02)
    assert left.seconds(13.0) == pytest.approx(7.0, rel=0.03)  # it goes down between two reports
    assert left.seconds(99.0) == 0.0


def test_nothing_is_said_before_enough_is_known():
    left = TimeLeft()
    assert left.seconds(0.0) is None
    left.report(0.0, 0.1)
    left.report(0.5, 0.5)  # much, but within half a second
    assert left.seconds(0.5) is None
    left = TimeLeft()
    left.report(0.0, 0.1)
    left.report(9.0, 0.12)  # long, but hardly anything
    assert left.seconds(9.0) is None


def test_loading_libraries_first_does_not_count():
    cold, warm = TimeLeft(), TimeLeft()
    for step in range(1, 100):
        warm.report(step / 10, step / 100)
        cold.report(30 + step / 10, step / 100)
    assert cold.seconds(35.0) == pytest.approx(warm.seconds(5.0))


def test_a_job_that_becomes_slower_is_followed():
    left = TimeLeft()
    for step in range(51):
        left.report(step / 10, step / 100)
    assert left.seconds(5.0) == pytest.approx(5.0, rel=0.05)
    for step in range(1, 150):  # now at a tenth of the speed
        left.report(5 + step / 10, 0.5 + step / 1000)
    # By now 60 % were measured in 19.4 s, so the other 35 % take about 11 s: what it approaches.
    assert 5 < left.seconds(19.9) < 13


@given(
    st.lists(st.tuples(st.floats(0.01, 20.0), st.floats(0.0, 1.0)), min_size=2, max_size=60),
    st.floats(0.0, 0.5),
)
def test_it_never_jumps(steps, start):
    left, now, changed = TimeLeft(start), 0.0, 0.0
    for pause, fraction in steps:
        before = left.seconds(now)
        now += pause
        down = left.seconds(now)
        left.report(now, fraction)
        after = left.seconds(now)
        assert after is None or after >= 0
        if before is not None:
            assert before - pause - 1e-6 <= down <= before + 1e-6  # with the clock
            # And by a correction that is bounded for every second since the last one.
            assert abs(after - down) <= max(3.0, 0.25 * down) * min(now - changed, 1.0) + 1e-6
        if after != down:
            changed = now


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0, "a few seconds left"),
        (3.9, "a few seconds left"),
        (4.2, "about 4 s left"),
        (12.4, "about 12 s left"),
        (23.4, "about 25 s left"),
        (57, "about 55 s left"),
        (58, "about 1 min left"),
        (119, "about 2 min left"),
        (3500, "about 58 min left"),
        (3599, "about 1 h left"),
        (8000, "about 2 h left"),
    ],
)
def test_words(seconds, words):
    assert in_words(seconds) == words

"""Who reads what when: balance, distance, reproducibility."""

from collections import Counter
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.protocol import Protocol
from HierSynthLib.reader_study.schedule import make_schedule, williams_rows
from Testing.reader_studies import plan


def protocol(arms=2, readers=2, modes=("single",), duplicates=0.0, seed=1):
    names = [f"arm{number}" for number in range(arms)]
    return Protocol.parse(
        plan(
            arms=[{"name": n, "source": f"{n}.nii", "reference": n == "arm0", "origin": "synthetic"} for n in names],
            modes=list(modes),
            readers=[f"R{number}" for number in range(1, readers + 1)],
            duplicates=duplicates,
            seed=seed,
        )
    )


def case_names(count):
    return [f"case{number}" for number in range(count)]


def main(showings):
    """Without training and duplicates."""
    return [each for each in showings if not each.training and not each.duplicate]


DESIGNS = st.fixed_dictionaries(
    {
        "arms": st.integers(2, 5),
        "readers": st.integers(1, 6),
        "modes": st.sampled_from([("single",), ("side_by_side",), ("single", "side_by_side", "turing"), ("roi",)]),
        "duplicates": st.sampled_from([0.0, 0.1, 0.3]),
        "seed": st.integers(0, 2**40),
    }
)


@settings(max_examples=60, deadline=None)
@given(DESIGNS, st.integers(1, 23), st.integers(0, 3))
def test_every_reader_sees_every_map_once_and_no_case_twice_in_a_session(design, cases, training):
    practice = [f"training{number}" for number in range(training)]
    chosen = protocol(**design)
    for showings in make_schedule(chosen, case_names(cases), practice).values():
        for mode in design["modes"]:
            here = [each for each in main(showings) if each.mode == mode]
            paired = mode == "side_by_side"
            units = Counter((each.case, frozenset(each.arms)) for each in here)
            assert len(units) == cases * (design["arms"] - 1 if paired else design["arms"])
            assert set(units.values()) == {1}
            if paired:
                assert all("arm0" in each.arms for each in here)
            for session in {each.session for each in here}:
                assert Counter(e.case for e in here if e.session == session) == Counter(case_names(cases))
        assert [each.session for each in showings] == sorted(each.session for each in showings)


@settings(max_examples=60, deadline=None)
@given(DESIGNS, st.integers(2, 23))
def test_a_duplicate_repeats_its_original_a_third_of_the_session_later(design, cases):
    for showings in make_schedule(protocol(**design), case_names(cases)).values():
        repeated = 0
        for session in {each.session for each in showings}:
            here = [each for each in showings if each.session == session]
            # Every session has the same number, so that its length tells nothing.
            assert sum(each.duplicate for each in here) == round(design["duplicates"] * cases)
            for place, each in enumerate(here):
                if each.duplicate:
                    first = next(i for i, e in enumerate(here) if e.case == each.case)
                    assert here[first].arms == each.arms[::-1]
                    assert place - first >= len(here) // 3
                    assert not here[first].duplicate
                    repeated += 1
        units = sum(design["arms"] - (mode == "side_by_side") for mode in design["modes"])
        assert repeated == units * round(design["duplicates"] * cases)


@settings(max_examples=40, deadline=None)
@given(DESIGNS, st.integers(1, 23))
def test_arms_are_balanced_over_sessions_and_sides(design, cases):
    for showings in make_schedule(protocol(**design), case_names(cases)).values():
        for session in {each.session for each in showings}:
            here = [each for each in main(showings) if each.session == session]
            counts = Counter(frozenset(each.arms) - {"arm0"} or frozenset(each.arms) for each in here)
            units = design["arms"] - 1
            if here[0].mode != "side_by_side":
                units, counts = design["arms"], Counter(each.arms for each in here)
            frequencies = [*counts.values(), *[0] * (units - len(counts))]
            assert max(frequencies) - min(frequencies) <= 1
        for mode in set(design["modes"]) & {"side_by_side"}:
            for other in range(1, design["arms"]):
                sides = Counter(
                    e.arms[0] == "arm0" for e in main(showings) if e.mode == mode and f"arm{other}" in e.arms
                )
                assert abs(sides[True] - sides[False]) <= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 20), st.integers(0, 2**40))
def test_over_the_readers_each_case_is_read_in_both_orders_equally_often(half, cases, seed):
    schedule = make_schedule(protocol(readers=2 * half, seed=seed), case_names(cases))
    for case in case_names(cases):
        first = Counter(next(e.arms for e in showings if e.case == case) for showings in schedule.values())
        assert first[("arm0",)] == first[("arm1",)] == half


@settings(max_examples=30, deadline=None)
@given(DESIGNS, st.integers(1, 12))
def test_the_same_seed_gives_the_same_schedule(design, cases):
    first = make_schedule(protocol(**design), case_names(cases), ["t"])
    assert first == make_schedule(protocol(**design), case_names(cases), ["t"])
    # Nor does the order in which the folders are given matter to which case is read when.
    assert first == make_schedule(protocol(**design), case_names(cases)[::-1], ["t"])


@settings(max_examples=30, deadline=None)
@given(st.integers(8, 20), st.integers(0, 2**40))
def test_readers_and_seeds_differ(cases, seed):
    schedule = make_schedule(protocol(readers=4, seed=seed), case_names(cases))
    orders = [tuple(each.case for each in showings) for showings in schedule.values()]
    assert all(one != other for one, other in combinations(orders, 2))
    other = make_schedule(protocol(readers=4, seed=seed + 1), case_names(cases))
    assert schedule != other


def test_training_comes_first_and_once():
    for mode in ("single", "side_by_side"):
        showings = make_schedule(protocol(modes=(mode,)), case_names(5), ["t1", "t2"])["R1"]
        assert [each.training for each in showings[:3]] == [True, True, False]
        assert {each.case for each in showings[:2]} == {"t1", "t2"}
        assert not any(each.training for each in showings[2:])


def test_neither_side_nor_arm_of_the_first_training_case_can_be_foreseen():
    """With the program at hand, nobody knows which of the first two maps is the reference, or whether the first is."""
    pairs = singles = readings = 0
    for seed in range(40):
        chosen = protocol(modes=("side_by_side", "single"), readers=2, seed=seed)
        for showings in make_schedule(chosen, case_names(3), ["t1"]).values():
            training = [each for each in showings if each.training]
            assert [each.mode for each in training] == ["side_by_side", "single"]
            pairs += training[0].arms[0] == "arm0"
            singles += training[1].arms == ("arm0",)
            readings += 1
    assert readings == 80
    # 80 throws of a coin: 40 ± 4 standard deviations of 4.5.
    assert abs(pairs - 40) <= 18
    assert abs(singles - 40) <= 18


def test_nor_can_the_first_session_or_side_of_a_single_case():
    sides = firsts = 0
    for seed in range(80):
        (showings,) = make_schedule(protocol(modes=("single", "side_by_side"), readers=1, seed=seed), ["c"]).values()
        firsts += showings[0].arms == ("arm0",)
        sides += showings[2].arms[0] == "arm0"
    assert abs(firsts - 40) <= 18
    assert abs(sides - 40) <= 18


@pytest.mark.parametrize("arms", [2, 3, 4, 5])
def test_the_sessions_of_all_readers_do_not_tell_the_arm_of_a_map(arms):
    """Where readers share images, the sessions in which each of them sees a map occur equally often for every arm."""
    cases = case_names(2 * arms * 3)
    schedule = make_schedule(protocol(arms=arms, readers=6, seed=arms), cases)
    session = {(reader, e.case, e.arms): e.session for reader, showings in schedule.items() for e in showings}
    seen = {
        arm: Counter(tuple(session[reader, case, (f"arm{arm}",)] for reader in schedule) for case in cases)
        for arm in range(arms)
    }
    assert all(each == seen[0] for each in seen.values())


@pytest.mark.parametrize("count", range(2, 8))
def test_williams_square_is_balanced(count):
    rows = williams_rows(count)
    assert len(rows) == (2 * count if count % 2 else count)
    assert all(sorted(row) == list(range(count)) for row in rows)
    for place in range(count):
        assert set(Counter(row[place] for row in rows).values()) == {len(rows) // count}
    followed = Counter(pair for row in rows for pair in pairwise(row))
    assert len(followed) == count * (count - 1)
    assert len(set(followed.values())) == 1


def test_a_williams_square_by_hand():
    """The square of four treatments as Williams (1949) prints it, up to the names of the rows."""
    assert williams_rows(4) == [[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]]


def test_cases_must_be_there_and_differ():
    with pytest.raises(InputError, match="at least one case"):
        make_schedule(protocol(), [], ["t"])
    with pytest.raises(InputError, match="called a"):
        make_schedule(protocol(), ["a", "b", "a"])

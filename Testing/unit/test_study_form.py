"""Forms and protocols: what is accepted, and what is told about what is not."""

import copy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from HierSynthLib.errors import InputError
from HierSynthLib.folders import resources_folder
from HierSynthLib.reader_study.form import MODE_KINDS, Form
from HierSynthLib.reader_study.protocol import Protocol
from Testing.reader_studies import FORM, plan

SHIPPED = resources_folder() / "StudyForms"


def with_item(**item):
    return {
        "id": "f",
        "title": "F",
        "items": [{"id": "q", "kind": "likert", "text": "Q?", "anchors": ["a", "b"]} | item],
    }


def test_the_default_form_asks_something_in_every_mode_and_survives_json():
    form = Form.parse(yaml.safe_load((SHIPPED / "default-form.yaml").read_text("utf-8")))
    assert all(form.asked(mode) for mode in MODE_KINDS)
    assert Form.parse(form.as_json()) == form
    ratings = [item for item in form.items if item.purpose == "rating"]
    assert len(ratings) == 7
    assert all([option.value for option in item.options] == [1, 2, 3, 4, 5] for item in ratings)
    assert all(option.label for item in ratings for option in item.options)
    assert [item.id for item in ratings if not item.higher_is_better] == ["artefact"]


def test_the_example_protocol_is_valid_and_survives_json():
    protocol = Protocol.parse(yaml.safe_load((SHIPPED / "example-protocol.yaml").read_text("utf-8")))
    assert Protocol.parse(protocol.as_json()) == protocol
    assert protocol.washout_days == 28
    assert protocol.reference == "acquired"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "slider"}, '"kind" is .slider.'),
        ({"anchors": ["only one"]}, "two or more"),
        ({"kind": "choice", "options": ["yes", True]}, "quote yes"),
        ({"kind": "choice", "options": ["a", "a"]}, "two or more different"),
        ({"modes": ["double"]}, "double"),
        ({"about": "nothing"}, "is no item"),
        ({"purpose": "diagnosis"}, "truth"),
        ({"kind": "choice", "options": ["A", "B"], "purpose": "preference"}, "left, right, none"),
        ({"kind": "likert", "options": [2, 1]}, "ascend"),
        ({"colour": "red"}, '"colour" is unknown'),
        ({"required": "yes"}, "true or false"),
        ({"text": " "}, "empty"),
        ({"id": "two words"}, "letters, digits"),
        ({"margin": 0}, "greater than 0"),
        ({"primary": True, "purpose": "agreement"}, "rating on a Likert scale"),
        ({"primary": True, "kind": "choice", "options": ["a", "b"], "purpose": "rating"}, "rating on a Likert scale"),
    ],
)
def test_a_wrong_item_is_named(change, words):
    data = with_item(**change)
    if "options" in change:
        del data["items"][0]["anchors"]
    with pytest.raises(InputError, match=words) as caught:
        Form.parse(data)
    assert "form" in caught.value.message
    assert caught.value.hint


def test_two_items_of_one_name():
    data = copy.deepcopy(FORM)
    data["items"][1]["id"] = "quality"
    with pytest.raises(InputError, match="two items"):
        Form.parse(data)


ANSWERS = {
    "likert": ([1, 2], [0, 3, 1.0, "1", True, None]),
    "choice": (["yes", "no"], ["maybe", 1, None]),
    "confidence": ([0, 50, 100.0], [-1, 101, float("nan"), "50", True]),
    "flag": ([True, False], [0, "true", None]),
    "text": (["", "µ≈\n2", "x" * 4000], ["x" * 4001, 5, None]),
    "hotspots": (
        [[], [{"centre_mm": [1, 2, 3], "radius_mm": 2}]],
        [{}, [1], *([{"centre_mm": c, "radius_mm": r}] for c, r in (([1, 2], 2), ([1, 2, 3], 0), ([1, 2, 1e999], 1)))],
    ),
    "outline": ([[{"points_mm": [[0, 0, 0], [1, 0, 0], [0, 1, 0]]}]], [[{"points_mm": [[0, 0, 0], [1, 0, 0]]}], ["x"]]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ANSWERS)
def test_possible_and_impossible_answers(kind):
    options = {"likert": {}, "choice": {"options": ["yes", "no"]}}.get(kind, {})
    data = with_item(kind=kind, **options)
    if kind != "likert":
        del data["items"][0]["anchors"]
    item = Form.parse(data).item("q")
    possible, impossible = ANSWERS[kind]
    assert [item.check(value) for value in possible] == possible
    for value in impossible:
        with pytest.raises(InputError, match='"q" cannot be answered'):
            item.check(value)


ARMS = [{"name": "a", "source": "CBV_acquired", "reference": True}, {"name": "b", "source": "maps"}]


def test_where_a_map_comes_from_is_known_of_the_acquired_one_only():
    protocol = Protocol.parse(plan(arms=[*ARMS, {"name": "c", "source": "CBV_true"}]))
    assert [arm.origin for arm in protocol.arms] == ["acquired", "", ""]
    # A mode without the arm in question can be a Turing test; what is not known can be told.
    three = [*ARMS, {"name": "c", "source": "other", "origin": "synthetic"}]
    Protocol.parse(plan(arms=three, modes=[{"kind": "turing", "arms": ["a", "c"]}]))
    told = Protocol.parse(plan(arms=[{**ARMS[0], "origin": "synthetic"}, {**ARMS[1], "origin": "acquired"}]))
    assert [arm.origin for arm in told.arms] == ["synthetic", "acquired"]
    assert Protocol.parse(told.as_json()) == told


def test_primary_end_points_survive_json():
    form = Form.parse(with_item(primary=True))
    assert Form.parse(form.as_json()).item("q").primary
    assert not Form.parse(with_item()).item("q").primary


WORDS = st.text(max_size=5)
PLAIN = st.none() | st.booleans() | st.integers() | WORDS
ANYTHING = st.recursive(PLAIN, lambda each: st.lists(each, max_size=3) | st.dictionaries(WORDS, each, max_size=3))


@given(ANYTHING)
def test_whatever_a_file_holds_there_is_one_clear_error(data):
    for parse in (Form.parse, Protocol.parse, Protocol.parse_public):
        with pytest.raises(InputError):
            parse(data)


@given(
    st.sampled_from([*plan(), "washout_days", "duplicates", "display", "training_cases"]),
    PLAIN | st.floats() | st.lists(st.integers(), max_size=2),
)
def test_a_protocol_with_one_odd_field_is_usable_or_refused(name, value):
    try:
        protocol = Protocol.parse(plan(**{name: value}))
    except InputError as error:
        assert error.hint  # noqa: PT017
    else:
        assert Protocol.parse(protocol.as_json()) == protocol


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arms": [{"name": "a", "source": "x"}]}, "two or more"),
        ({"arms": [{"name": "a", "source": "x"}, {"name": "b", "source": "y"}]}, "reference: true"),
        ({"modes": ["single", "unblinded"]}, "study of its own"),
        ({"modes": ["single", "single"]}, "different"),
        ({"modes": [{"kind": "single", "arms": ["other"]}]}, "other"),
        ({"readers": []}, "no reader"),
        ({"readers": ["R1", "R1"]}, "twice"),
        ({"duplicates": 0.5}, "0.3"),
        ({"display": {"window": [3, 1]}}, "ascending"),
        ({"washout_days": -1}, "3650"),
        ({"margin": 0}, "greater than 0"),
        ({"arms": ARMS, "modes": ["turing"]}, "has b, of which nobody knows"),
        ({"arms": [{**ARMS[0], "origin": "real"}, ARMS[1]]}, "acquired, synthetic"),
    ],
)
def test_a_wrong_protocol_is_explained(change, words):
    with pytest.raises(InputError, match=words):
        Protocol.parse(plan(**change))


def test_the_public_protocol_has_nothing_that_the_arms_follow_from():
    protocol = Protocol.parse(plan(training_cases=["patient-001"], duplicates=0.2))
    public = protocol.public()
    assert (public.arms, public.seed, public.training_cases, public.modes[0].arms) == ((), None, (), ())
    assert public.duplicates == 0
    text = str(public.as_json())
    assert not any(word in text for word in ("gadolinium", "zebrafish", "made/map", "patient", "seed"))
    assert Protocol.parse_public(public.as_json()) == public

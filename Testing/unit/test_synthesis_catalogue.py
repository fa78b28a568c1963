"""The list of models for a panel: quick and complete, damaged ones included."""

import json

import pytest

from HierSynthLib.synthesis.catalogue import SIMULATED_TRAINING, model_cards
from HierSynthLib.synthesis.package import METADATA, WEIGHTS
from Testing.conftest import write_tiny_model


@pytest.fixture
def models(monkeypatch, tmp_path):
    monkeypatch.setenv("HIERSYNTH_DATA", str(tmp_path))
    return tmp_path / "Models"


def cards():
    return {card.name: card for card in model_cards()}


def test_the_built_in_model(models):
    card = cards()["hiersynth-demo"]
    assert card.title == "hiersynth-demo 0.2.0"
    assert card.sequences == ("T1", "T2", "FLAIR", "ADC")
    assert card.statement == SIMULATED_TRAINING
    assert card.problem == ""


def test_a_model_trained_on_patients_has_no_such_statement(models):
    write_tiny_model(models / "tiny", simulated_training=False, sequences=["T1", "FLAIR"])
    assert cards()["tiny"].statement == ""
    assert cards()["tiny"].sequences == ("T1", "FLAIR")


def test_weights_are_not_read(models):
    folder = write_tiny_model(models / "tiny")
    (folder / WEIGHTS).unlink()
    assert cards()["tiny"].problem == ""


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps({"hiersynth": {"format_version": 99}}), None])
def test_damaged_models_are_listed_with_their_problem(models, text):
    folder = write_tiny_model(models / "tiny")
    (folder / METADATA).unlink()
    if text is not None:
        (folder / METADATA).write_text(text)
    assert cards()["tiny"].problem
    assert cards()["tiny"].title == "tiny"
    assert cards()["hiersynth-demo"].problem == ""

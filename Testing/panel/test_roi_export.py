"""Which files an export writes, and which it leaves alone."""

import pytest

from HierSynthLib.errors import OutputError
from HierSynthLib.fidelity.measures.settings import Settings
from Testing.panel import compare_case  # noqa: F401  # puts the module's folder on the path

ENTRY = {
    "settings": Settings().to_json(),
    "reference": None,
    "regions": [],
    "maps": [],
    "intensity": [],
    "agreement": [],
}


@pytest.fixture
def export(host):
    from HierSynthPanel.roi_export import target_of, write_export

    def export(chosen, changes=""):
        steps = write_export(target_of(str(chosen)), ENTRY, changes, simulated=False)
        try:
            while True:
                next(steps)
        except StopIteration as end:
            return [path.name for path in end.value]

    return export


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("taken", ["case.csv", "case_changes.csv"])
def test_a_file_that_the_dialog_did_not_ask_about_is_never_replaced(export, tmp_path, taken):
    (tmp_path / taken).write_text("precious")
    with pytest.raises(OutputError, match=f"{taken} exists already"):
        export(tmp_path / "case", "changes")
    assert names(tmp_path) == [taken]
    assert (tmp_path / taken).read_text() == "precious"


def test_names_with_points_keep_them_and_their_own_changes(export, tmp_path):
    assert export(tmp_path / "pat.01", "first") == ["pat.01_changes.csv", "pat.01.csv"]
    assert export(tmp_path / "pat.02.CSV", "second") == ["pat.02_changes.csv", "pat.02.CSV"]
    assert (tmp_path / "pat.01_changes.csv").read_text() == "first"
    assert (tmp_path / "pat.02_changes.csv").read_text() == "second"


def test_with_a_table_its_changes_are_replaced_or_removed(export, tmp_path):
    export(tmp_path / "case.csv", "first")
    export(tmp_path / "case.csv", "second")
    assert (tmp_path / "case_changes.csv").read_text() == "second"
    export(tmp_path / "case.csv")
    assert names(tmp_path) == ["case.csv"]


def test_of_both_files_none_is_written_where_one_cannot_be(export, tmp_path, monkeypatch):
    from HierSynthPanel import roi_export

    def fail(*_args, **_kwargs):
        raise OutputError("The disk is full.", "")

    monkeypatch.setattr(roi_export, "measurement_csv", fail)
    with pytest.raises(OutputError, match="full"):
        export(tmp_path / "case.csv", "changes")
    assert names(tmp_path) == []

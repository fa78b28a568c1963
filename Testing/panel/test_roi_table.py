"""The table of regions: columns with definitions, sorting by number, copying."""

import pytest

from HierSynthLib.fidelity.measures.definitions import measure
from Testing.panel.roi_case import click_heading, column_of, names, texts

MAPS = ("synthetic", "acquired")
MEANS = {"Tumour": (10.0, 9.5), "Oedema": (9.0, None), "Hotspot": (11.0, 12.0)}


def intensity(region, of_map, mean):
    return {"region": region, "map": of_map, "units": "nrCBV", "values": {"mean": mean, "p95": None}, "notes": []}


def entry_of(means):
    """A measurement of a synthetic and an acquired map in which only the means are known, and r of the first."""
    regions = [
        {"name": name, "role": "lesion", "source": "", "voxels": 5, "volume_ml": 0.05, "centre": [0, 0, 0], "notes": []}
        for name in means
    ]
    maps = [{"name": name, "kind": name, "units": "nrCBV"} for name in MAPS]
    rows = [intensity(name, MAPS[number], pair[number]) for name, pair in means.items() for number in range(2)]
    agreement = [{"region": name, "synthetic": "synthetic", "acquired": "acquired", "values": {}} for name in means]
    agreement[0]["values"] = {"pearson_r": 0.8, "pearson_low": -0.1, "pearson_high": 0.95}
    return {"regions": regions, "maps": maps, "intensity": rows, "agreement": agreement}


@pytest.fixture
def chosen():
    return []


@pytest.fixture
def widget(host):
    """A table in the window."""
    import qt

    widget = qt.QTableWidget()
    widget.selectionBehavior = qt.QTableWidget.SelectRows
    widget.selectionMode = qt.QTableWidget.SingleSelection
    host.window.set_panel(widget)
    yield widget
    host.window.set_panel(None)


@pytest.fixture
def table(widget, chosen):
    """What shows both maps in it."""
    from HierSynthPanel.roi_columns import AGAINST, columns
    from HierSynthPanel.roi_table import RoiTable

    table = RoiTable(widget, chosen.append)
    table.show(list(MEANS), dict.fromkeys(MEANS, "✓"), columns(entry_of(MEANS), AGAINST))
    return table


def test_both_maps_stand_beside_each_other(table, widget):
    assert names(widget) == ["✓ Tumour", "✓ Oedema", "✓ Hotspot"]
    assert texts(widget, "Mean\nsynthetic") == ["10.00", "9.00", "11.00"]
    assert texts(widget, "Mean\nacquired") == ["9.50", "–", "12.00"]
    assert texts(widget, "r\n95 % interval") == ["0.80 (−0.10 to 0.95)", "–", "–"]


def test_every_heading_explains_its_measure(table, widget):
    tooltip = widget.horizontalHeaderItem(column_of(widget, "SSIM")).toolTip()
    assert measure("ssim").definition in tooltip
    for number in range(widget.columnCount):
        assert "\n" in widget.horizontalHeaderItem(number).toolTip()


def test_a_heading_sorts_by_number_and_back_and_what_is_unknown_comes_last(table, widget):
    click_heading(widget, "Mean\nsynthetic")
    assert texts(widget, "Mean\nsynthetic") == ["11.00", "10.00", "9.00"]
    click_heading(widget, "Mean\nsynthetic")
    assert texts(widget, "Mean\nsynthetic") == ["9.00", "10.00", "11.00"]
    click_heading(widget, "Mean\nacquired")
    assert texts(widget, "Mean\nacquired") == ["12.00", "9.50", "–"]
    click_heading(widget, "Mean\nacquired")
    assert texts(widget, "Mean\nacquired") == ["9.50", "12.00", "–"]


def test_a_changed_measurement_keeps_order_and_choice(table, widget, chosen):
    from HierSynthPanel.roi_columns import AGAINST, columns

    click_heading(widget, "Mean\nsynthetic")
    widget.selectRow(2)
    assert chosen == ["Oedema"]
    table.show(list(MEANS), dict.fromkeys(MEANS, "✗"), columns(entry_of(MEANS | {"Oedema": (20.0, 1.0)}), AGAINST))
    assert names(widget) == ["✗ Oedema", "✗ Hotspot", "✗ Tumour"]
    assert table.chosen == "Oedema"
    assert widget.currentRow() == 0
    assert chosen == ["Oedema"]


def test_copying_gives_the_shown_order_with_headings(host, table, widget):
    import slicer

    click_heading(widget, "Mean\nsynthetic")
    host.key(widget, "Ctrl+C")
    lines = [line.split("\t") for line in slicer.app.clipboard().text().splitlines()]
    assert lines[0][:4] == ["Region", "Mean synthetic", "Mean acquired", "Difference %"]
    assert lines[0][4:6] == ["Voxels", "Volume ml"]
    assert [[line[0], line[1], *line[4:6]] for line in lines[1:]] == [
        ["Hotspot", "11.00", "5", "0.05"],
        ["Tumour", "10.00", "5", "0.05"],
        ["Oedema", "9.00", "5", "0.05"],
    ]
    assert {len(line) for line in lines} == {widget.columnCount + 1}

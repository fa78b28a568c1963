"""The stand-ins of CTK's and Slicer's widgets behave as theirs."""

import pytest

from Testing.panel.host_demo import add_volume


def lines(selector):
    box = selector.comboBox()
    return [box.itemText(index) for index in range(box.count)]


@pytest.fixture
def selector(host):
    import slicer

    widget = slicer.qMRMLNodeComboBox()
    widget.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    widget.noneEnabled = True
    widget.addEnabled = False
    widget.removeEnabled = False
    widget.setMRMLScene(slicer.mrmlScene)
    yield widget
    widget.deleteLater()


@pytest.fixture
def heard(selector):
    """Names of the nodes that the selector has reported."""
    names = []
    selector.currentNodeChanged.connect(lambda node: names.append(node.GetName() if node else None))
    return names


def test_selector_follows_the_scene(host, selector, heard):
    import slicer

    assert lines(selector) == ["None"]
    first, second = add_volume("first"), add_volume("second")
    assert lines(selector) == ["None", "first", "second"]
    assert (selector.currentNode(), heard) == (None, [])
    second.SetName("renamed")
    assert lines(selector) == ["None", "first", "renamed"]
    slicer.mrmlScene.RemoveNode(first)
    assert lines(selector) == ["None", "renamed"]
    assert selector.nodeCount() == 1
    assert selector.nodeFromIndex(0) is second
    host.close_scene()
    assert lines(selector) == ["None"]


def test_selector_reports_choices_and_renamings(selector, heard):
    first, second = add_volume("first"), add_volume("second")
    selector.setCurrentNode(first)
    selector.setCurrentNode(first)
    selector.currentNodeID = second.GetID()
    second.SetName("renamed")
    selector.setCurrentNode(None)
    assert heard == ["first", "second", "renamed", None]
    assert selector.currentNodeID == ""


def test_selector_does_not_report_a_change_between_equal_names(selector, heard):
    """As in Slicer with Qt 6, which reports a change of the text only."""
    first, second = add_volume("same"), add_volume("same")
    selector.setCurrentNode(first)
    selector.setCurrentNode(second)
    assert selector.currentNode() is second
    assert heard == ["same"]


def test_selector_goes_to_the_line_above_when_its_node_is_removed(selector, heard):
    import slicer

    first, second = add_volume("first"), add_volume("second")
    selector.setCurrentNode(second)
    slicer.mrmlScene.RemoveNode(second)
    assert selector.currentNode() is first
    slicer.mrmlScene.RemoveNode(first)
    assert selector.currentNode() is None
    assert heard == ["second", "first", None]


def test_selector_offers_the_asked_classes_that_are_not_hidden(selector):
    import slicer

    scene = slicer.mrmlScene
    regions = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "regions")
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    volume = add_volume("volume")
    assert lines(selector) == ["None", "labels", "volume"]
    selector.showChildNodeTypes = False
    assert lines(selector) == ["None", "volume"]
    selector.setCurrentNode(volume)
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode", ""]
    assert lines(selector) == ["None", "regions", "volume"]
    assert selector.nodeTypes == ["vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode"]
    assert selector.currentNode() is volume
    volume.HideFromEditorsOn()
    volume.Modified()
    assert lines(selector) == ["None", "regions"]
    assert selector.currentNode() is regions
    selector.showHidden = True
    assert "volume" in lines(selector)
    selector.noneDisplay = "Nothing"
    assert lines(selector)[0] == "Nothing"


def test_selector_offers_the_nodes_with_an_attribute(selector, heard):
    plain, marked, later = add_volume("plain"), add_volume("marked"), add_volume("later")
    marked.SetAttribute("kind", "map")
    selector.setCurrentNode(plain)
    selector.addAttribute("vtkMRMLScalarVolumeNode", "kind", "map")
    assert lines(selector) == ["None", "marked"]
    assert heard == ["plain", None]
    selector.setCurrentNode(marked)
    later.SetAttribute("kind", "map")
    plain.SetAttribute("kind", "other")
    assert lines(selector) == ["None", "marked", "later"]
    plain.SetAttribute("kind", "map")
    assert lines(selector) == ["None", "plain", "marked", "later"]
    assert (selector.currentNode(), heard) == (marked, ["plain", None, "marked"])
    marked.RemoveAttribute("kind")
    assert lines(selector) == ["None", "plain", "later"]


def test_selector_without_none_takes_the_first_node(host, selector):
    selector.noneEnabled = False
    assert lines(selector) == []
    first = add_volume("first")
    assert selector.currentNode() is first


def test_selector_waits_for_its_scene(host):
    import slicer

    volume = add_volume("volume")
    widget = slicer.qMRMLNodeComboBox()
    widget.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    widget.noneEnabled = True
    assert not widget.enabled
    with pytest.raises(NotImplementedError, match="addEnabled"):
        widget.setMRMLScene(slicer.mrmlScene)
    widget.addEnabled = widget.removeEnabled = False
    widget.setCurrentNodeID(volume.GetID())
    widget.setMRMLScene(slicer.mrmlScene)
    assert widget.enabled
    assert widget.currentNode() is volume
    widget.setMRMLScene(None)
    assert not widget.enabled
    assert widget.currentNode() is None


def test_deleted_selector_leaves_no_observer(host):
    import slicer

    volume = add_volume("volume")
    before = [host.observer_count(subject) for subject in (slicer.mrmlScene, volume)]
    widget = slicer.qMRMLNodeComboBox()
    widget.addEnabled = widget.removeEnabled = False
    widget.setMRMLScene(slicer.mrmlScene)
    assert host.observer_count(volume) > before[1]
    del widget
    assert [host.observer_count(subject) for subject in (slicer.mrmlScene, volume)] == before


def test_slider_and_spin_box_hold_one_rounded_value(host):
    import ctk

    slider, values = ctk.ctkSliderWidget(), []
    slider.valueChanged.connect(values.append)
    assert (slider.minimum, slider.maximum, slider.value, slider.decimals) == (0, 100, 0, 2)
    slider.setRange(-1, 1)
    slider.value = 0.12345
    assert slider.value == slider.spinBox().value == 0.12
    slider.value = 7
    assert slider.value == 1
    slider.maximum = 0.5
    assert values == [0.12, 1, 0.5]
    slider.spinBox().value = -0.5
    assert slider.value == -0.5
    slider.slider().value = slider.slider().maximum
    assert slider.value == 0.5


def test_slider_without_tracking_reports_when_released(host):
    import ctk

    slider, values, changing = ctk.ctkSliderWidget(), [], []
    slider.valueChanged.connect(values.append)
    slider.valueIsChanging.connect(changing.append)
    slider.tracking = False
    slider.slider().sliderDown = True
    slider.slider().value = slider.slider().maximum // 2
    assert (slider.value, values, changing) == (0, [], [50.0])
    slider.slider().sliderDown = False
    assert (slider.value, values) == (50, [50.0])


def test_collapsed_section_hides_what_it_holds(host):
    import ctk
    import qt

    section, collapsed = ctk.ctkCollapsibleButton(), []
    section.contentsCollapsed.connect(collapsed.append)
    layout = qt.QVBoxLayout(section)
    shown, hidden = qt.QLabel("shown"), qt.QLabel("hidden")
    hidden.visible = False
    layout.addWidget(shown)
    layout.addWidget(hidden)
    section.collapsed = True
    section.show()
    assert not shown.visible
    height = section.maximumHeight
    section.checked = True
    assert (section.collapsed, shown.visible, hidden.visible) == (False, True, False)
    assert section.maximumHeight > height
    section.collapsed = True
    hidden.visible = True
    assert not hidden.visible
    section.collapsed = False
    assert hidden.visible
    hidden.visible = False
    section.collapsed = True
    section.collapsed = False
    assert (shown.visible, hidden.visible) == (True, False)
    assert collapsed == [True, False] * 3


def test_section_is_opened_by_its_bar_only(host):
    import ctk
    import qt

    section = ctk.ctkCollapsibleButton()
    qt.QVBoxLayout(section).addWidget(qt.QLabel("text"))
    section.resize(200, 200)
    section.show()
    assert not section.hitButton(qt.QPoint(100, 150))
    host.click(section)
    assert section.collapsed


def test_path_line_reports_its_path(host, tmp_path, monkeypatch):
    import ctk
    from PySide6.QtWidgets import QFileDialog

    line, paths = ctk.ctkPathLineEdit(), []
    line.currentPathChanged.connect(paths.append)
    line.currentPath = str(tmp_path)
    assert line.currentPath == str(tmp_path)
    assert paths == [str(tmp_path)]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("/chosen", ""))
    line.browse()
    assert paths[-1] == "/chosen"


@pytest.mark.parametrize("name", ["getOpenFileName", "getSaveFileName"])
def test_file_dialog_answers_with_the_path_alone(host, monkeypatch, name):
    """As PythonQt shows it; PySide6 returns the filter, too."""
    import qt
    from PySide6.QtWidgets import QFileDialog

    asked = []
    monkeypatch.setattr(
        QFileDialog, name, lambda *arguments: asked.append(arguments) or ("/chosen.csv", "Tables (*.csv)")
    )
    assert getattr(qt.QFileDialog, name)(None, "Save", "/folder", "Tables (*.csv)") == "/chosen.csv"
    assert asked == [(None, "Save", "/folder", "Tables (*.csv)")]


def test_table_is_used_as_in_slicer(host):
    import qt

    table = qt.QTableWidget()
    table.rowCount, table.columnCount = 2, 2
    table.setHorizontalHeaderLabels(["Region", "Mean"])
    for row, value in enumerate((2.5, 1.5)):
        item = qt.QTableWidgetItem(f"{value:.2f}")
        item.setData(qt.Qt.UserRole, value)
        item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
        table.setItem(row, 1, item)
    table.selectionBehavior = qt.QAbstractItemView.SelectRows
    table.editTriggers = qt.QAbstractItemView.NoEditTriggers
    chosen = []
    table.itemSelectionChanged.connect(lambda: chosen.append(table.currentRow()))
    table.selectRow(1)
    assert chosen == [1]
    assert table.item(1, 1).data(qt.Qt.UserRole) == 1.5
    assert [index.row() for index in table.selectionModel().selectedRows()] == [1]
    header = table.horizontalHeader()
    header.setSectionResizeMode(0, qt.QHeaderView.ResizeToContents)
    header.stretchLastSection = True
    table.sortItems(1)
    assert [table.item(row, 1).text() for row in range(2)] == ["1.50", "2.50"]


def test_ui_files_become_widgets(host, tmp_path):
    import slicer

    with pytest.raises(RuntimeError, match="not found"):
        slicer.util.loadUI(str(tmp_path / "missing.ui"))
    widget = slicer.util.loadUI(write_ui(tmp_path, receiver="label"))
    assert widget.objectName == "Form"
    label = slicer.util.findChild(widget, "label")
    assert label.property("SlicerParameterName") == "title"
    assert not hasattr(widget, "label")
    with pytest.raises(RuntimeError, match="nobody"):
        slicer.util.findChild(widget, "nobody")
    with pytest.raises(RuntimeError, match="nobody"):
        slicer.util.loadUI(write_ui(tmp_path, receiver="nobody"))


def write_ui(folder, receiver):
    path = folder / "form.ui"
    path.write_text(
        f"""<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0"><class>Form</class><widget class="QWidget" name="Form"><layout class="QVBoxLayout">
<item><widget class="QLabel" name="label"><property name="text"><string>ä</string></property>
<property name="SlicerParameterName" stdset="0"><string>title</string></property></widget></item>
<item><widget class="QLineEdit" name="line"/></item></layout></widget>
<connections><connection><sender>line</sender><signal>textChanged(QString)</signal><receiver>{receiver}</receiver>
<slot>setText(QString)</slot></connection></connections></ui>""",
        encoding="utf-8",
    )
    return str(path)

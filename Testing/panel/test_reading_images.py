"""Images are there before the reader needs them, are read in small steps, and are forgotten again."""

import numpy as np
import pytest

from Testing.panel.reading_case import Reader, small_study


@pytest.fixture
def panel(host):
    return host.open_module("HierSynth").panel


@pytest.fixture
def reader(host, panel, tmp_path):
    return Reader(host, panel, small_study(tmp_path, 4))


def images_of(panel):
    return panel.reading.reading._images


def kept(panel):
    return set(images_of(panel)._kept)


def answer_all(reader):
    reader.press("1", "Space", "1", "Space", "5")


def test_the_next_presentation_is_there_before_it_is_needed(host, reader, panel):
    reader.sign_in()
    slots = reader.study.slots("R1")
    host.wait(lambda: slots[1].presentation.id in kept(panel))
    assert kept(panel) == {slots[0].presentation.id, slots[1].presentation.id}
    answer_all(reader)
    states = []
    changed = panel.reading.reading._on_change
    panel.reading.reading._on_change = lambda: (states.append(reader.state), changed())
    host.click(reader.ui.submitButton)
    # Without any turn of the event loop, and so without reading a file.
    assert states == ["READING"]
    assert reader.session.slot.position == 2
    host.wait(lambda: slots[2].presentation.id in kept(panel))
    # The one before stays, for going back; what lies further away is forgotten.
    assert kept(panel) == {slots[number].presentation.id for number in (0, 1, 2)}
    answer_all(reader)
    host.click(reader.ui.submitButton)
    host.wait(lambda: slots[3].presentation.id in kept(panel))
    assert kept(panel) == {slots[number].presentation.id for number in (1, 2, 3)}
    reader.press("Left")
    assert states == ["READING"] * 3
    assert reader.session.slot.position == 2


def test_who_is_faster_than_the_disk_waits_for_this_image_only(host, reader, panel, monkeypatch):
    from HierSynthPanel import reading_images

    real, begun = reading_images.open_image, []

    def slow(path):
        begun.append(path.stem)
        return real(path)

    monkeypatch.setattr(reading_images, "open_image", slow)
    reader.sign_in()
    first, second = (slot.presentation for slot in reader.study.slots("R1")[:2])
    images_of(panel)._stop()
    images_of(panel)._kept.pop(second.id, None)
    begun.clear()
    answer_all(reader)
    host.click(reader.ui.submitButton)
    assert reader.state == "LOADING"
    assert "being read" in reader.ui.messageLabel.text
    assert not reader.ui.formBox.visible
    reader.wait_for("READING")
    assert begun[:2] == [*second.images, *second.sources.values()]
    assert reader.session.slot.presentation.id == second.id
    assert first.images[0] not in begun


def test_reading_ahead_a_missing_image_disturbs_nobody(host, reader, panel):
    lost = reader.study.slots("R1")[1].presentation
    reader.study.image_file(lost.images[0]).unlink()
    reader.sign_in()
    host.wait(lambda: images_of(panel)._steps is None)
    assert reader.state == "READING"
    assert not reader.ui.missingFrame.visible


def test_a_piece_is_read_at_a_time(host, reader, panel, monkeypatch):
    from HierSynthPanel.reading_images import read_image

    from HierSynthLib.reader_study import image_file
    from HierSynthLib.worker import transfer

    monkeypatch.setattr(transfer, "PIECE", 500)
    monkeypatch.setattr(image_file, "PIECE", 500)
    name = reader.study.slots("R1")[0].presentation.images[0]
    size = reader.study.image_file(name).stat().st_size
    steps = sum(1 for _ in read_image(reader.study, name, is_map=True))
    # The values, then the whole file for its checksum, and a step before and after.
    assert steps == -(-(size - 352) // 500) + -(-size // 500) + 2


def test_signing_out_forgets_the_images_and_stops_reading(host, reader, panel):
    reader.sign_in()
    host.click(reader.ui.signOutButton)
    assert kept(panel) == set()
    assert images_of(panel)._steps is None
    assert images_of(panel)._wanted == []


def test_anatomy_has_the_same_window_whatever_the_map(host, reader):
    import slicer

    reader.sign_in()
    windows = {}
    while reader.state != "FINISHED":
        slot = reader.session.slot
        name = slicer.app.layoutManager().sliceWidget("HierSynthReading1").mrmlSliceCompositeNode()
        node = slicer.mrmlScene.GetNodeByID(name.GetBackgroundVolumeID())
        display = node.GetScalarVolumeDisplayNode()
        values = slicer.util.arrayFromVolume(node)
        expected = np.percentile(values[values != 0], (1.0, 99.5))
        found = (display.GetWindowLevelMin(), display.GetWindowLevelMax())
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        windows[slot.position] = found
        answer_all(reader)
        reader.submit()
    assert len(windows) == 4

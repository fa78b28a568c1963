"""Every change of hotspots and reference is recorded, and the list stays with the scene."""

import json

import numpy as np
import pytest

from Testing.panel.compare_case import scene_parameters
from Testing.panel.roi_case import RoiCase


@pytest.fixture
def parameters(host):
    return scene_parameters()


@pytest.fixture
def trail(parameters):
    from HierSynthPanel.roi_audit import AuditTrail

    trail = AuditTrail()
    trail.set_parameters(parameters)
    return trail


@pytest.fixture
def hotspots(trail):
    """Two hotspots that were suggested on the synthetic map."""
    from HierSynthPanel.roi_markups import show_hotspots

    centres = {"Hotspot 1 (synthetic)": [1.0, 2.0, 3.0], "Hotspot 2 (synthetic)": [40.0, 5.0, 6.0]}
    regions = [{"name": name, "shapes": [{"centre": centre}]} for name, centre in centres.items()]
    node = show_hotspots("synthetic", regions, 6.0, simulated=False)
    trail.expect(list(centres))
    trail.record({(name, "synthetic"): 3.0 for name in centres})
    return node


def actions(trail, first=0):
    return [(entry.action, entry.region) for entry in trail.entries[first:]]


def test_suggested_points_are_recorded_once_with_place_size_and_mean(trail, hotspots):
    assert actions(trail) == [("suggested", "Hotspot 1 (synthetic)"), ("suggested", "Hotspot 2 (synthetic)")]
    entry = trail.entries[1]
    assert (entry.from_ras, entry.to_ras) == (None, (40.0, 5.0, 6.0))
    assert (entry.size_after_mm, entry.map, entry.mean_after) == (6.0, "synthetic", 3.0)
    assert not trail.record({})
    assert len(trail.entries) == 2


def test_a_move_is_recorded_with_both_places_and_means(trail, hotspots):
    hotspots.SetNthControlPointPositionWorld(1, [41.0, 5.0, 6.0])
    assert trail.record({("Hotspot 2 (synthetic)", "synthetic"): 2.5})
    entry = trail.entries[-1]
    assert (entry.action, entry.region) == ("moved", "Hotspot 2 (synthetic)")
    assert (entry.from_ras, entry.to_ras) == ((40.0, 5.0, 6.0), (41.0, 5.0, 6.0))
    assert (entry.mean_before, entry.mean_after) == (3.0, 2.5)
    assert not trail.record({})


def test_points_that_come_go_and_are_renamed_or_resized_are_recorded(parameters, trail, hotspots):
    hotspots.SetNthControlPointLabel(0, "Best")
    trail.record({})
    hotspots.AddControlPointWorld([9.0, 9.0, 9.0], "Mine")
    trail.record({})
    hotspots.RemoveNthControlPoint(1)
    trail.record({})
    parameters.hotspotDiameter = 8.0
    trail.record({})
    assert actions(trail, 2) == [
        ("renamed", "Best"),
        ("placed", "Mine"),
        ("removed", "Hotspot 2 (synthetic)"),
        ("resized", "Best"),
        ("resized", "Mine"),
    ]
    assert trail.entries[2].note == "Hotspot 1 (synthetic)"
    assert (trail.entries[-1].size_before_mm, trail.entries[-1].size_after_mm) == (6.0, 8.0)


def test_the_choice_of_the_reference_and_its_moves_are_recorded(parameters, trail, host):
    from HierSynthPanel.roi_markups import show_reference
    from HierSynthPanel.roi_reference import chosen_reference

    centres = [[-20.0, 0.0, 30.0], [-25.0, 5.0, 30.0], [-22.0, 9.0, 30.0]]
    spheres = show_reference({"shapes": [{"centre": centre} for centre in centres]}, simulated=False)
    names = [spheres.GetNthControlPointLabel(number) for number in range(3)]
    trail.expect(names)
    trail.record({})
    assert actions(trail) == [("reference chosen", "NAWM reference"), *(("suggested", name) for name in names)]
    assert chosen_reference(parameters).source == "3 spheres of 10 mm, suggested, not moved"
    spheres.SetNthControlPointPositionWorld(0, [-20.0, 1.0, 30.0])
    trail.record({})
    assert actions(trail, 4) == [("moved", names[0])]
    assert chosen_reference(parameters).source == "3 spheres of 10 mm, suggested, moved"
    case = RoiCase(parameters)
    with_name = case.segmentation.GetSegmentation().GetSegmentIdBySegmentName("NAWM reference")
    parameters.nawm, parameters.nawmSegment = case.segmentation, with_name
    trail.record({})
    assert trail.entries[-1].action == "reference chosen"
    assert trail.entries[-1].note == "NAWM reference (Segmentation)"


def test_spheres_are_drawn_in_their_size(hotspots):
    display = hotspots.GetDisplayNode()
    assert not display.GetUseGlyphScale()
    assert display.GetGlyphSize() == 6.0
    assert hotspots.GetNumberOfControlPoints() == 2
    np.testing.assert_allclose(hotspots.GetNthControlPointPositionWorld(0), [1, 2, 3])


def test_a_second_suggestion_moves_the_points_of_the_first(trail, hotspots):
    import slicer
    from HierSynthPanel.roi_markups import show_hotspots

    region = {"name": "Hotspot 1 (synthetic)", "shapes": [{"centre": [7.0, 7.0, 7.0]}]}
    assert show_hotspots("synthetic", [region], 6.0, simulated=False) is hotspots
    trail.expect(["Hotspot 1 (synthetic)"])
    trail.record({})
    assert len(slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")) == 1
    assert actions(trail, 2) == [("removed", "Hotspot 2 (synthetic)"), ("suggested", "Hotspot 1 (synthetic)")]
    assert trail.entries[-1].from_ras == (1.0, 2.0, 3.0)


def test_the_list_is_kept_in_the_parameters(parameters, trail, hotspots):
    from HierSynthPanel.roi_audit import AuditTrail

    again = AuditTrail()
    again.set_parameters(parameters)
    assert again.entries == trail.entries
    assert not again.record({})
    lines = again.csv().splitlines()
    assert len(lines) == 3
    assert lines[1].split(",")[1:3] == ["Hotspot 1 (synthetic)", "suggested"]


@pytest.mark.parametrize("text", ["{", json.dumps([{"region": 1}])])
def test_a_damaged_list_is_named(parameters, trail, text):
    parameters.regionAudit = text
    trail.set_parameters(parameters)
    assert trail.entries == ()
    assert trail.problem.startswith("The list in this scene is damaged: ")

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
    trail.expect(keys(node))
    trail.record({(key, "synthetic"): 3.0 for key in keys(node)})
    return node


def keys(node):
    from HierSynthPanel.roi_nodes import placed_points

    return [point.key for point in placed_points(node)]


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
    assert trail.record({(keys(hotspots)[1], "synthetic"): 2.5})
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
    trail.expect(keys(spheres))
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
    trail.expect(keys(hotspots))
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


def test_of_two_points_with_one_name_each_keeps_its_changes(parameters, trail, hotspots):
    hotspots.SetNthControlPointLabel(1, "Hotspot 1 (synthetic)")
    trail.record({})
    hotspots.SetNthControlPointPositionWorld(0, [2.0, 2.0, 3.0])
    hotspots.SetNthControlPointPositionWorld(1, [41.0, 5.0, 6.0])
    trail.record({(keys(hotspots)[0], "synthetic"): 2.5})
    assert actions(trail, 2) == [
        ("renamed", "Hotspot 1 (synthetic)"),
        ("moved", "Hotspot 1 (synthetic)"),
        ("moved", "Hotspot 1 (synthetic)"),
    ]
    assert trail.entries[2].note == "Hotspot 2 (synthetic)"
    assert [entry.from_ras for entry in trail.entries[3:]] == [(1.0, 2.0, 3.0), (40.0, 5.0, 6.0)]
    assert [entry.mean_after for entry in trail.entries[3:]] == [2.5, None]
    trail.set_parameters(parameters)
    assert not trail.record({})
    hotspots.RemoveNthControlPoint(0)
    trail.record({})
    assert [(entry.action, entry.from_ras) for entry in trail.entries[5:]] == [("removed", (2.0, 2.0, 3.0))]


def test_a_point_that_is_renamed_and_moved_at_once_is_the_same_point(trail, hotspots):
    hotspots.SetNthControlPointLabel(0, "Mine")
    hotspots.SetNthControlPointPositionWorld(0, [5.0, 5.0, 5.0])
    trail.record({})
    assert actions(trail, 2) == [("renamed", "Mine"), ("moved", "Mine")]
    assert (trail.entries[3].from_ras, trail.entries[3].to_ras) == ((1.0, 2.0, 3.0), (5.0, 5.0, 5.0))


@pytest.mark.parametrize("fixed", [False, True])
def test_a_second_suggestion_keeps_the_points_of_the_user(trail, hotspots, fixed):
    from HierSynthPanel.roi_markups import show_hotspots

    hotspots.AddControlPointWorld([9.0, 9.0, 9.0], "Mine")
    trail.record({})
    hotspots.SetFixedNumberOfControlPoints(fixed)
    region = {"name": "Hotspot 1 (synthetic)", "shapes": [{"centre": [7.0, 7.0, 7.0]}]}
    show_hotspots("synthetic", [region], 6.0, simulated=False)
    trail.expect([keys(hotspots)[1]])
    trail.record({})
    labels = [hotspots.GetNthControlPointLabel(number) for number in range(hotspots.GetNumberOfControlPoints())]
    assert labels == ["Mine", "Hotspot 1 (synthetic)"]
    assert actions(trail, 3) == [("removed", "Hotspot 2 (synthetic)"), ("suggested", "Hotspot 1 (synthetic)")]
    assert bool(hotspots.GetFixedNumberOfControlPoints()) is fixed


def test_spheres_that_are_added_or_removed_change_the_reference_at_once(parameters, trail):
    from HierSynthPanel.roi_markups import show_reference
    from HierSynthPanel.roi_reference import chosen_reference

    regions = {"shapes": [{"centre": [-20.0, 0.0, up]} for up in (10.0, 30.0, 50.0)]}
    spheres = show_reference(regions, simulated=False)
    trail.expect(keys(spheres))
    trail.record({})
    spheres.RemoveNthControlPoint(2)
    trail.mark_reference()
    assert chosen_reference(parameters).source == "2 spheres of 10 mm, suggested, changed"
    show_reference(regions, simulated=False)
    trail.expect(keys(spheres))
    trail.record({})
    assert chosen_reference(parameters).source == "3 spheres of 10 mm, suggested, not moved"
    spheres.AddControlPointWorld([0, 0, 0], "Mine")
    trail.mark_reference()
    assert chosen_reference(parameters).source == "4 spheres of 10 mm, suggested, changed"


def test_a_damaged_list_is_kept_beside_a_new_one(parameters, trail):
    from HierSynthPanel.roi_audit import DAMAGED
    from HierSynthPanel.roi_markups import show_hotspots

    parameters.regionAudit = "[damaged"
    trail.set_parameters(parameters)
    show_hotspots("synthetic", [{"name": "H", "shapes": [{"centre": [1.0, 2.0, 3.0]}]}], 6.0, simulated=False)
    trail.record({})
    assert actions(trail) == [("placed", "H")]
    assert parameters.parameterNode.GetParameter(DAMAGED) == "[damaged"
    assert len(json.loads(parameters.regionAudit)) == 1


@pytest.mark.parametrize("text", ["{", json.dumps([{"region": 1}])])
def test_a_damaged_list_is_named(parameters, trail, text):
    parameters.regionAudit = text
    trail.set_parameters(parameters)
    assert trail.entries == ()
    assert trail.problem.startswith("The list in this scene is damaged: ")

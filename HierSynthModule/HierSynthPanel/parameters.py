"""Every setting of the panel, kept in the scene, so that a saved scene restores the panel."""

from typing import Annotated

from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Default, WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class HierSynthParameters:
    """The parameter node.

    Attributes:
        t1, t2, flair, adc, asl: the volumes that the map is synthesised from; None where there is none.
        acquired: the acquired CBV map to compare with, in nrCBV.
        roi: regions to look at.
        simulated: whether the inputs are those of a simulated patient.
        model: name of the installed model; "" takes the default.
        device: "auto", "cpu", "cuda" or "mps".
        register: whether the other sequences are registered to the reference.
        addResult: keep earlier results of the same reference, instead of replacing them.
        reference: the anatomy on whose grid the present result lies.
        synthetic, globalMap, residual, uncertainty: the present result.
        difference, acquiredOnGrid, checkerboard: the present comparison with the acquired map.
        colorMap: of the CBV maps: "Inferno", "Rainbow" or "Grey".
        windowLow, windowHigh: nrCBV at the ends of the colour map, common to all CBV maps.
        opacity: of the overlay, 0 to 1.
        threshold: nrCBV below which the overlay is transparent.
        layout: "overlay", "side-by-side", "three-up", "volume", "plots" or "curves".
        orientation: "axial", "coronal" or "sagittal", of the layouts that show one plane.
        alignToReference: cut along the reference's own planes instead of the patient's.
        flicker: alternate synthetic and acquired; flickerRate: changes per second.
        checkerboardShown: show the checkerboard of both maps; checkerboardSize: edge of its squares in mm.
        showValues: show the values of all maps under the cursor.
        measureAdc, measureFlair, measureT1, measureT2, measureAsl: measure the regions on this volume, too.
        hotspotDiameter: of the sphere round every point, mm.
        curveThickness: of closed curves, mm; 0 takes the thickness of the map's slices.
        nawm: the node that the NAWM reference is in; None takes what there is.
        nawmSegment: identifier of its segment; "" where the node is a list of points.
        normaliseAcquired: divide the acquired map by its mean in the NAWM reference before measuring.
        regionAudit: what was done to hotspots and reference, as JSON.
        dsc: the DSC series that the acquired map is computed from.
        dscEchoTime, dscRepetitionTime, dscFlipAngle: in ms, s (between two frames) and degrees; 0 where not known.
        dscMotion: whether its frames are moved back onto each other.
        dscLeakage: correction for leakage: "bsw", "bidirectional" or "none".
        dscAif: the points of its arterial input function; dscAifManual: take these, instead of looking for arteries.
        dscResult: what the last processing says of itself, as JSON.
    """

    t1: vtkMRMLScalarVolumeNode
    t2: vtkMRMLScalarVolumeNode
    flair: vtkMRMLScalarVolumeNode
    adc: vtkMRMLScalarVolumeNode
    asl: vtkMRMLScalarVolumeNode
    acquired: vtkMRMLScalarVolumeNode
    roi: vtkMRMLSegmentationNode
    simulated: bool = False

    model: str = ""
    device: str = "auto"
    register: bool = True
    addResult: bool = False

    reference: vtkMRMLScalarVolumeNode
    synthetic: vtkMRMLScalarVolumeNode
    globalMap: vtkMRMLScalarVolumeNode
    residual: vtkMRMLScalarVolumeNode
    uncertainty: vtkMRMLScalarVolumeNode
    difference: vtkMRMLScalarVolumeNode
    acquiredOnGrid: vtkMRMLScalarVolumeNode
    checkerboard: vtkMRMLScalarVolumeNode

    colorMap: str = "Inferno"
    windowLow: float = 0.0
    windowHigh: float = 10.0
    opacity: Annotated[float, WithinRange(0, 1), Default(0.6)]
    threshold: float = 0.0
    layout: str = "overlay"
    orientation: str = "axial"
    alignToReference: bool = False
    flicker: bool = False
    flickerRate: Annotated[float, WithinRange(0.2, 10), Default(2.0)]
    checkerboardShown: bool = False
    checkerboardSize: Annotated[float, WithinRange(2, 100), Default(20.0)]
    showValues: bool = True

    measureAdc: bool = True
    measureFlair: bool = False
    measureT1: bool = False
    measureT2: bool = False
    measureAsl: bool = False
    hotspotDiameter: Annotated[float, WithinRange(1, 30), Default(6.0)]
    curveThickness: Annotated[float, WithinRange(0, 50), Default(0.0)]
    nawm: vtkMRMLNode
    nawmSegment: str = ""
    normaliseAcquired: bool = False
    regionAudit: str = ""

    dsc: vtkMRMLNode
    dscEchoTime: Annotated[float, WithinRange(0, 10000), Default(0.0)]
    dscRepetitionTime: Annotated[float, WithinRange(0, 100000), Default(0.0)]
    dscFlipAngle: Annotated[float, WithinRange(0, 180), Default(0.0)]
    dscMotion: bool = True
    dscLeakage: str = "bsw"
    dscAif: vtkMRMLMarkupsFiducialNode
    dscAifManual: bool = False
    dscResult: str = ""

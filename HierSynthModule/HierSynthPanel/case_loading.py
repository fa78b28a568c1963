"""Case folders and simulated patients as nodes: read by the worker, shown as one study of one patient."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import slicer
from slicer.i18n import tr as _

from HierSynthLib.case import Role
from HierSynthLib.errors import HierSynthError
from HierSynthLib.worker.job_folder import JobFolder
from HierSynthLib.worker.messages import Cancelled, Event, Failed, Progress, Result
from HierSynthPanel import nodes
from HierSynthPanel.images import load_image
from HierSynthPanel.perfusion_nodes import shown_by
from HierSynthPanel.perfusion_series import load_frames, show_series
from HierSynthPanel.steps import Steps
from HierSynthPanel.worker_link import WorkerLink

SAMPLE = {"seed": 7, "grade": "high", "size": "full", "misalignment": False}
"""The simulated patient of "Load sample case"; aligned, so that the maps can be compared voxel by voxel."""

LABEL_MAPS = (Role.ROI,)
NOT_SHOWN = (Role.BRAIN,)


class CaseLoading:
    """Loads one case at a time.

    Args:
        link: the background process.
        on_progress: called with a stage and a fraction 0–1.
        on_loaded: called with the nodes by role and whether the patient is simulated.
        on_failed: called with what is wrong and what to do; both "" when it was cancelled.
    """

    def __init__(
        self,
        link: WorkerLink,
        on_progress: Callable[[str, float], None],
        on_loaded: Callable[[dict[Role, Any], bool], None],
        on_failed: Callable[[str, str], None],
    ) -> None:
        self._link = link
        self._on_progress, self._on_loaded, self._on_failed = on_progress, on_loaded, on_failed
        self._folder: JobFolder | None = None
        self._steps: Steps | None = None
        self._job = ""
        self._loaded: dict[Role, Any] = {}

    @property
    def active(self) -> bool:
        """Whether a case is being loaded."""
        return self._folder is not None

    def load_sample(self, changes: Mapping[str, Any]) -> None:
        """Simulate a patient and load it; `changes` are changes to `SAMPLE`."""
        if self._begin():
            case = str(self._folder.path / "case")
            self._submit("phantom", {"out": case} | SAMPLE | dict(changes), lambda result: self._read(case))

    def load_folder(self, folder: str) -> None:
        """Load the case folder that the user chose."""
        if self._begin():
            self._read(folder)

    def cancel(self) -> None:
        """Stop loading; the scene stays as it was."""
        if self._job:
            self._link.forget(self._job)
        if self.active:
            self._end()
            self._on_failed("", "")

    def _begin(self) -> bool:
        if self.active:
            return False
        try:
            self._folder = self._link.new_folder()
        except HierSynthError as error:
            self._on_failed(error.message, error.hint)
            return False
        self._on_progress(_("starting"), 0.0)
        return True

    def _read(self, case: str) -> None:
        self._submit("read_case", {"case": case, "output": str(self._folder.output)}, self._show)

    def _submit(self, kind: str, parameters: Mapping[str, Any], on_result: Callable[[dict], None]) -> None:
        def receive(event: Event) -> None:
            if isinstance(event, Progress):
                self._on_progress(event.stage, event.fraction)
            elif isinstance(event, Result):
                self._job = ""
                on_result(event.result)
            elif isinstance(event, Failed):
                self._end()
                self._on_failed(event.message, event.hint)
            elif isinstance(event, Cancelled):
                self._end()
                self._on_failed("", "")

        self._job = self._link.submit(kind, parameters, receive)

    def _show(self, result: Mapping[str, Any]) -> None:
        def fail(error: HierSynthError) -> None:
            self._end()
            self._on_failed(error.message, error.hint)

        def done() -> None:
            self._end()
            self._on_loaded(self._loaded, bool(result["simulated"]))

        self._steps = Steps(self._load(result), done, fail)

    def _load(self, result: Mapping[str, Any]) -> Iterator[float]:
        images = {}
        for number, (name, path) in enumerate(result["volumes"].items()):
            role = Role(name)
            if role not in NOT_SHOWN:
                self._on_progress(_("loading {role}").format(role=role), number / len(result["volumes"]))
                images[role] = yield from load_image(path)
        series = result["series"]
        frames = []
        if series is not None:
            self._on_progress(_("loading {role}").format(role=Role.DSC), 1.0)
            frames = yield from load_frames(series["frames"])
        study = _new_study(result["id"])
        self._loaded = {}
        for role, (image, affine) in images.items():
            if role in LABEL_MAPS:
                node = _segmentation(image, affine, {int(k): v for k, v in result["labels"].items()})
            else:
                node = _volume(role, image, affine, result["units"].get(role, ""), bool(result["simulated"]))
            nodes.file_under(node, study)
            self._loaded[role] = node
            yield 1.0
        if frames:
            sequence = yield from show_series(str(Role.DSC), frames, series, bool(result["simulated"]))
            nodes.file_under(shown_by(sequence), study)
            self._loaded[Role.DSC] = sequence

    def _end(self) -> None:
        if self._steps is not None:
            self._steps.stop()
        if self._folder is not None:
            self._link.remove(self._folder)
        self._folder = self._steps = None
        self._job = ""


def _new_study(name: str) -> int:
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), name)
    return hierarchy.CreateStudyItem(patient, _("MRI"))


def _volume(role: Role, image: Any, affine: Any, units: str, simulated: bool) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass(
        "vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(str(role).replace("_", " "))
    )
    nodes.place(node, affine)
    node.SetAttribute(nodes.UNITS, units)
    node.SetAttribute(nodes.SIMULATED, "1" if simulated else "0")
    node.SetAndObserveImageData(image)
    node.CreateDefaultDisplayNodes()
    return node


def _segmentation(image: Any, affine: Any, labels: Mapping[int, str]) -> Any:
    label_map = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", slicer.mrmlScene.GenerateUniqueName("ROI"))
    nodes.place(label_map, affine)
    label_map.SetAndObserveImageData(image)
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(label_map, node)
    slicer.mrmlScene.RemoveNode(label_map)
    node.CreateDefaultDisplayNodes()
    # Filled regions would hide the map under them.
    node.GetDisplayNode().SetAllSegmentsVisibility2DFill(False)
    segmentation = node.GetSegmentation()
    for name in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(name)
        segment.SetName(labels.get(segment.GetLabelValue(), segment.GetName()))
    return node

"""The volumes that regions are measured on: which, under which names, and as files for the worker."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from HierSynthLib.errors import InputError
from HierSynthPanel import nodes
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.volume_files import VolumeFiles

SYNTHETIC = "synthetic"
ACQUIRED = "acquired"
UNCERTAINTY = "uncertainty"

OTHERS = {
    "ADC": ("adc", "measureAdc"),
    "FLAIR": ("flair", "measureFlair"),
    "T1": ("t1", "measureT1"),
    "T2": ("t2", "measureT2"),
    "ASL": ("asl", "measureAsl"),
}
"""Name of a volume → its parameter, and the parameter that says whether it is measured."""


@dataclass(frozen=True)
class MeasuredMap:
    """A volume under the name by which tables call it.

    Attributes:
        kind: "synthetic", "acquired", "uncertainty" or "other".
    """

    name: str
    kind: str
    node: Any

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Another one whenever the voxels or their place have changed."""
        volume = nodes.volume_of(self.node)
        return (self.node.GetID(), self.node.GetImageData().GetMTime(), volume.affine.tobytes())


def measured_maps(parameters: HierSynthParameters) -> list[MeasuredMap]:
    """The volumes to measure on, the synthetic map first; none without a synthetic map."""
    if not _usable(parameters.synthetic):
        return []
    maps = [
        MeasuredMap(SYNTHETIC, SYNTHETIC, parameters.synthetic),
        MeasuredMap(ACQUIRED, ACQUIRED, parameters.acquired),
        MeasuredMap(UNCERTAINTY, UNCERTAINTY, parameters.uncertainty),
    ]
    for name, (volume, ticked) in OTHERS.items():
        if getattr(parameters, ticked):
            maps.append(MeasuredMap(name, "other", getattr(parameters, volume)))
    return [each for each in maps if _usable(each.node)]


def anatomy(parameters: HierSynthParameters) -> list[MeasuredMap]:
    """The sequences from which regions are suggested."""
    found = [MeasuredMap(name, "other", getattr(parameters, OTHERS[name][0])) for name in ("T1", "T2", "FLAIR", "ADC")]
    return [each for each in found if _usable(each.node)]


def write_maps(maps: list[MeasuredMap], files: VolumeFiles) -> Generator[Any, None, list[dict[str, Any]]]:
    """Write the volumes that have changed, step by step; the generator's value describes them for the worker.

    Raises:
        InputError: a volume lies under a transform that is not linear.
        OutputError: one cannot be written.
    """
    described = []
    for each in maps:
        if nodes.is_under_warp(each.node):
            what = _("{name} lies under a transform that is not linear.").format(name=each.node.GetName())
            raise InputError(what, _("Harden the transform first (module Data or Transforms)."))
        path = yield from files.write(each.name, each.stamp, lambda node=each.node: nodes.volume_of(node))
        fields = {"name": each.name, "kind": each.kind, "path": str(path)}
        units = each.node.GetAttribute(nodes.UNITS)
        fields |= {"units": units} if units else {}
        fields |= {"of": SYNTHETIC} if each.kind == UNCERTAINTY else {}
        described.append(fields)
        yield
    files.remove_unused()
    return described


def brain_of(described: list[dict[str, Any]]) -> str | None:
    """The file of the map that is above 0 in the brain and nowhere else: the uncertainty; None where there is none."""
    return next((each["path"] for each in described if each["kind"] == UNCERTAINTY), None)


def title_of(name: str) -> str:
    """The name of a map as the user sees it."""
    titles = {SYNTHETIC: _("Synthetic"), ACQUIRED: _("Acquired"), UNCERTAINTY: _("Uncertainty")}
    return titles.get(name, name)


def _usable(node: Any) -> bool:
    return nodes.present(node) and nodes.has_voxels(node)

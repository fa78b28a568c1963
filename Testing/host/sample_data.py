"""The module `SampleData`: which samples modules offer.

Followed: Modules/Scripted/SampleData/SampleData.py of Slicer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import slicer

PER_FILE = ("uris", "fileNames", "nodeNames", "loadFiles", "loadFileTypes", "checksums")


class SampleDataSource:
    """One sample; what concerns single files is kept in lists of one length."""

    def __init__(
        self,
        sampleName: str | None = None,
        uris: str | list[str] | None = None,
        customDownloader: Callable[[SampleDataSource], Any] | None = None,
        thumbnailFileName: str | None = None,
        **files: Any,
    ) -> None:
        self.sampleName = sampleName
        self.customDownloader = customDownloader
        self.thumbnailFileName = thumbnailFileName
        several = isinstance(uris, list | tuple)
        for name, value in (files | {"uris": uris}).items():
            setattr(self, name, list(value) if several and value is not None else [value])
        if len({len(values) for name, values in vars(self).items() if name in PER_FILE}) > 1:
            message = "All fields of sample data source must have the same length"
            raise ValueError(message)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SampleDataSource) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(self.sampleName)


class SampleDataLogic:
    """Registers samples; they are kept in slicer.modules.sampleDataSources."""

    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", **description: Any) -> None:
        """Offer a sample, once.

        Args:
            category: under which it appears.
            description: arguments of SampleDataSource.
        """
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        source = SampleDataSource(**description)
        if source not in sources:
            sources.append(source)


def install_sample_data() -> None:
    """Make `import SampleData` work."""
    module = ModuleType("SampleData", __doc__)
    module.SampleDataLogic = SampleDataLogic  # type: ignore[attr-defined]
    module.SampleDataSource = SampleDataSource  # type: ignore[attr-defined]
    sys.modules["SampleData"] = module

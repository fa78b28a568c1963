"""The DICOM database `slicer.dicomDatabase`.

Followed: Libs/DICOM/Core/ctkDICOMDatabase.cpp of CTK.
"""

from __future__ import annotations


class DicomDatabase:
    """Knows what a test has put into `values`.

    Attributes:
        isOpen: whether there is a database.
        values: (SOP instance UID, tag as "gggg,eeee") → text.
    """

    def __init__(self) -> None:
        self.isOpen = True
        self.values: dict[tuple[str, str], str] = {}

    def instanceValue(self, uid: str, tag: str) -> str:
        """The value of a tag in an instance; "" where it is not known."""
        return self.values.get((uid, tag.lower()), "")

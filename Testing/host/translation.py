"""The module `slicer.i18n` without a translation.

Followed: Base/Python/slicer/i18n.py of Slicer, which returns the text itself where the language is English.
"""

from __future__ import annotations


def tr(text: str) -> str:
    """Translate a text of the user interface."""
    return text

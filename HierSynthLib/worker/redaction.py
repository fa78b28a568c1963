"""Taking out of a text what may name a patient, before the user passes it on with a report."""

from __future__ import annotations

import re
from collections.abc import Collection

HIDDEN = "…"

# An absolute path of any system: up to its last separator, because folders may have spaces in their names, and then the
# file name, which may have spaces too where it ends as images do.
_ROOT = r"(?:file://)?(?:[A-Za-z]:[\\/]|\\\\|~?/(?![\s/]))"
_INSIDE = r"""(?:[^"'\n<>|:]|:(?!\s))*"""
_NAME = r"""(?:[^"'\n<>|:/\\]*\.(?:nii\.gz|nii|nrrd|nhdr|mha|npy|json|dcm|zip)\b|[^"'\s<>|:]*)"""
_QUOTED = re.compile(rf"""(?P<quote>["'])(?P<path>{_ROOT}[^\n]*?)(?P=quote)""")
_BARE = re.compile(rf"(?<![\w/\\.²³⁻>]){_ROOT}(?:{_INSIDE}[\\/])?{_NAME}")
_CODE = re.compile(r".*[\\/]((?:site-packages|HierSynthLib)[\\/].*|python[\d.]*[\\/].*)")


def redact(text: str, private: Collection[str] = ()) -> str:
    """The text without paths, except those of program code, and without the `private` texts (names of images, say)."""
    for word in sorted(filter(None, private), key=len, reverse=True):
        text = text.replace(word, HIDDEN)
    text = _QUOTED.sub(lambda found: found["quote"] + _without_folder(found["path"]) + found["quote"], text)
    return _BARE.sub(lambda found: _without_folder(found[0]), text)


def _without_folder(path: str) -> str:
    """The part of a path that belongs to a program, which helps to find a fault, and nothing of any other."""
    code = _CODE.fullmatch(path)
    return code[1] if code and code[1].endswith(".py") else HIDDEN

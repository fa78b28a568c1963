"""What commands check before they start and print when they are done."""

import json as json_format
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from HierSynthLib.errors import OutputError


def print_result(result: Mapping[str, Any], lines: Iterable[str], *, json: bool) -> None:
    """Print the result on stdout: for programs as one JSON object, for people as lines."""
    if json:
        print(json_format.dumps(result, ensure_ascii=False, allow_nan=False, default=str), flush=True)
    else:
        print(*lines, sep="\n", flush=True)


def require_free(folder: Path) -> None:
    """Check that a folder is new or empty, and can be written; see `require_writable`.

    Raises:
        OutputError: something is in it already.
    """
    require_writable(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"The folder {folder} is not empty.", "Choose another one; nothing is overwritten.")


def require_writable(folder: Path) -> None:
    """Check, without creating anything, that a folder is there or can be made, and can be written.

    Raises:
        OutputError: it is a file, or the permission is missing.
    """
    folder = folder.absolute()
    existing = next((parent for parent in (folder, *folder.parents) if os.path.lexists(parent)), folder)
    if not existing.is_dir():
        raise OutputError(f"{existing} is a file, not a folder.", "Choose another output folder.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise OutputError(f"{existing} cannot be written: permission denied.", "Choose another output folder.")

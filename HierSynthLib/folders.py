"""Where HierSynth finds what came with it and keeps what the user adds."""

import os
import sys
from pathlib import Path


def resources_folder() -> Path:
    """The folder `Resources`: inside the package once installed, beside it in a source checkout."""
    installed = Path(__file__).parent / "Resources"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "Resources"


def user_data_folder() -> Path:
    """The user's own HierSynth folder; outlives an update of Slicer or of the extension.

    `HIERSYNTH_DATA` overrides the operating system's usual place.
    """
    chosen = os.environ.get("HIERSYNTH_DATA")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "HierSynth"

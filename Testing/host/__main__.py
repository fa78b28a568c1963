"""`python -m Testing.host`: the panel in a window on this display, without Slicer."""

from __future__ import annotations

import sys

from Testing.host import Host


def main() -> int:
    """Opens the window and returns when it is closed: the exit status."""
    host = Host.start(offscreen=False)
    host.open_module("HierSynth")
    return int(host.app.exec())


if __name__ == "__main__":
    sys.exit(main())

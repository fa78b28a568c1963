"""HierSynth: synthetic cerebral blood volume maps from non-contrast MRI.

The light half (`case`, `volume`, `errors`, `progress`, `worker.client`) imports only the standard library and numpy,
because it also runs inside 3D Slicer's own process. Everything that computes runs in the worker or on the command line.
"""

__version__ = "0.1.0"

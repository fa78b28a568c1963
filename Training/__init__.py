"""Training of HierSynth models; runs on a workstation or a cluster, never inside Slicer."""

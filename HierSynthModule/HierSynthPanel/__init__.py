"""The sections of HierSynth's panel and what they share; imported when the module is opened, not when Slicer starts."""

"""The commands of `hiersynth`, one module each, and what they share."""

"""Tests, the stand-in host and benchmarks."""

"""Measurements that are too slow or too machine-dependent for a test; results stand in docs/benchmarks.md."""

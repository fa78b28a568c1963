"""Patients to train on: data sets, simulated patients, splits, preparation with a cache, slices in random order."""

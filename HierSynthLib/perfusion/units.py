"""The maps and their units; imports nothing, so that Slicer's process can have it."""

UNITS = {
    "rCBV": "a.u.",
    "rCBV_uncorrected": "a.u.",
    "rCBV_gamma": "a.u.",
    "nrCBV": "nrCBV",
    "nrCBV_uncorrected": "nrCBV",
    "rCBV_standardised": "a.u.",
    "CBV": "ml/100 g",
    "CBF": "ml/100 g/min",
    "MTT": "s",
    "Tmax": "s",
    "K1": "1",
    "K2": "1/s",
    "kep": "1/s",
    "TTP": "s",
    "PH": "1/s",
    "PSR": "%",
}
"""Every map that there can be, and its units."""

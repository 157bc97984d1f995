"""Fingerprints of data: named parts, stable over time, compared."""

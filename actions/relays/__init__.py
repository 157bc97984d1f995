"""Relays that keep old addresses working: planned, started, reconciled, removed."""

"""Dependants that use the new addresses, and relays that go."""

"""Judgements over the samples, events and records of a watch: pure functions, in which every time is an argument."""

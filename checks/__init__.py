"""Judgements over facts; they change nothing."""

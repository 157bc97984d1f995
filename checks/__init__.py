"""QUESTIONS: judgements over facts; read-only."""

"""Seventy-two hours of samples: what is read of hosts and containers, and how judges ask for it."""

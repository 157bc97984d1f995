"""The operator's own machine: git, ssh signing, notifications, Prometheus, secret references."""

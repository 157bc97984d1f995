"""The protocols and values that all rooms share: action, container, fingerprint, host, phase, product, step."""

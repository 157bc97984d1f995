"""What people sign, attest, waive and are told."""

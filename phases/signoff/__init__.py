"""What people sign, attest and waive, and the messages that they get."""

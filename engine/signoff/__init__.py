"""Approvals, attestations and waivers: the signed texts and what they hold."""

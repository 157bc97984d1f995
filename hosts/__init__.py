"""Hosts: the only code that starts a process, opens an ssh connection or talks to a Docker Engine."""

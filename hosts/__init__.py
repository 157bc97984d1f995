"""HOSTS: the only room that starts a process, opens an ssh connection or talks to a Docker Engine."""

"""The recipe that brings a service back."""

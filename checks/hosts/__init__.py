"""Is a host fit: ssh, Docker, clock, DNS, network, kernel and users."""

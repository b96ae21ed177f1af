"""Files on this host and on nodes."""

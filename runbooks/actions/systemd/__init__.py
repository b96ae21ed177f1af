"""Units of a node's service manager."""

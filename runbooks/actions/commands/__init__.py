"""Commands of the user's own, on this host and on nodes: programs and arguments, never a text for a shell."""

"""The demo on Redis: a primary and two replicas, a client that writes, a crash and the ways back."""

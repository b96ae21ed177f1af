"""The demo on MariaDB: a primary and two semi-synchronous replicas, a client that writes, a crash and the
ways back."""

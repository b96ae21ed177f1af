"""The demo of a pool: web servers behind HAProxy, the real daemon, and a client that asks all the time."""

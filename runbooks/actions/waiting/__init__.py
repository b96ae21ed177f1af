"""Waiting for what probes see."""

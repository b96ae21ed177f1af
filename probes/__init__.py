"""Probes: what sees. One file per probe type; the scheduler knows no types, a type knows no schedule."""

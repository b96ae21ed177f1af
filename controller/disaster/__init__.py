"""Disasters that people declare: what they concern, their site plan, and how far it has come."""

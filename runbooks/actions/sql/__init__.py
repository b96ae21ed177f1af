"""Statements on the members of a PostgreSQL service."""

"""Clients are led to a member, whatever kind of endpoint the service has."""

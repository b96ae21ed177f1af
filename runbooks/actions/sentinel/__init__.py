"""Actions by Redis Sentinel, where it runs a service: it is asked, and nothing is done beside it (S14)."""

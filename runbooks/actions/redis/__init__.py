"""Actions on Redis: one primary and its replicas. What they can prove, and what not: docs/redis.md."""

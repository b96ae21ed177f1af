"""Actions of MariaDB: each looks at its own effect, and changes a member over a session that locks it."""

"""The journal and the leadership of one state directory, on SQLite.

`sqlite.SqliteStore` is what the daemon writes to; `reader` and `verify` are for whoever only reads, with the
daemon alive or dead; `repair` starts a new journal where the old one can't be trusted any more.
"""

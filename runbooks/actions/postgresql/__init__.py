"""Actions on PostgreSQL: one file per action, the home of the rules (POSTGRESQL P1 to P19) that it keeps.

Every change goes over a lock session (`locks`) or through node access (`server`); nothing here cancels a
statement, and no password is in an argument, an output or a message.
"""

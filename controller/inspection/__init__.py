"""Inspection (巡检): every check once, now, in words for an operator.

`catalogue` is the table of checks; `runner` makes them, `record` keeps and compares them, `desk` does it in
the daemon and `direct` without one.
"""

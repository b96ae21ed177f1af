"""Fences: whoever was primary can acknowledge nothing any more, and that was seen (S2).

A fence that could not be seen to hold does not hold: its outcome is unknown, and nothing is promoted.
"""

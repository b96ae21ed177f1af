"""Runbooks: declarative procedures, bound to targets by the planner, run and resumed by the engine."""

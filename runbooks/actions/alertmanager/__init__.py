"""Alertmanager. Prometheus itself has no silences: it evaluates rules and hands alerts on; who is told of
them, and who is not, is Alertmanager's, so there is one action for planned work."""

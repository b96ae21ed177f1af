"""Early warning (预警): what is no outage yet and will be one. Beside the decision, never in it.

`words` and `machine` say when a warning begins and ends, `watcher` with its rules and histories what is seen;
`desk` journals, pages and shows it.
"""

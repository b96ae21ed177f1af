"""The supervisor of one service: keeps what is known, judges it, and acts on the decision.

`knowledge` folds observations into the view that the pure core judges; `ledger` reads from the journal
what must outlive the process; `desk` keeps the incident; `executor` runs runbooks; `supervisor` ties them.
"""

"""The pager: what the product has to say reaches people, whatever else is going on.

`pager.Pager` queues and never waits; `alertmanager` and `exec_hook` are the channels. Nothing here is on the
path of a decision: a pager that hangs costs no failover a millisecond.
"""

"""Webhooks: what happens here, told to other people's servers.

Events are written with the change that made them (`listener.py`), turned into one delivery per
webhook by a job (`jobs.py`), and sent, signed and retried by the one pump of the cluster
(`pump.py`). docs/guides/webhooks.md is for who receives them.
"""

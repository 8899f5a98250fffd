"""Clients that other projects publish, used unchanged against a running Undercroft."""

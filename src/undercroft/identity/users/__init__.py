"""Accounts: who exists, how they are named, what state they are in."""

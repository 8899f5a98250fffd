"""Containers of files: who may keep what in them."""

"""Verticals on the platform. They import only what a customer's app may."""

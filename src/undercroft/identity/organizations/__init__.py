"""Tenants: organizations, their members, invitations."""

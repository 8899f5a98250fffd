"""Second factors: authenticator apps (TOTP), passkeys, recovery codes."""

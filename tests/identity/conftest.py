"""What the tests of signing in with others share."""

from tests.identity.providers_support import honest, liar, provider, web

__all__ = ["honest", "liar", "provider", "web"]

"""From the shape of a request and the schema cache to a plan: every name resolved or refused."""

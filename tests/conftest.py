"""Fixtures live in tests/fixtures; this file only collects them."""

pytest_plugins = [
    "tests.fixtures.engines",
    "tests.fixtures.app",
    "tests.fixtures.actors",
    "tests.fixtures.outbox",
    "tests.fixtures.query_counter",
    "tests.fixtures.policies",
    "tests.fixtures.certificates",
]

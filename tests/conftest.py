"""Only names what the fixture files define."""

pytest_plugins = ["tests.fixtures.engines"]

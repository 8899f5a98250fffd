# Everything a fresh machine needs: Python 3.11 or newer, git and make.  `make help` lists the targets.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14 python3,$(shell command -v $(name))))
VENV := .venv
BIN := $(VENV)/bin
CLIENTS := tests/contracts/js
export UV_NO_PROGRESS ?= 1
# The certificates of the machine, as curl and git use them: a company's proxy is known there alone.
export UV_SYSTEM_CERTS ?= 1

.PHONY: help serve test check format lock bench docs clean
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

serve: $(BIN)/.runtime ## Run Undercroft on http://127.0.0.1:8000 (home: .undercroft)
	@$(BIN)/undercroft serve $(ARGS)

test: $(BIN)/.dev ## Run the tests on the embedded Postgres and Valkey (ARGS="-k name")
	@$(BIN)/pytest -n auto $(ARGS)

check: $(BIN)/.dev ## Lint, types, import layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(BIN)/.dev ## Format and fix what can be fixed
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(BIN)/.dev ## Measure beside PocketBase and pgbench (minutes; needs wrk)
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(BIN)/.dev ## Regenerate .env.example and docs/reference
	@$(BIN)/undercroft settings reference --write

lock: $(BIN)/.uv ## Resolve the dependencies again (ARGS="--upgrade")
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --all-extras pyproject.toml -o requirements/runtime.txt $(ARGS)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --all-extras --group dev pyproject.toml -c requirements/runtime.txt -o requirements/dev.txt $(ARGS)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --group pyproject.toml:peers -o requirements/peers.txt $(ARGS)

clean: ## Remove the environment and caches; leaves .undercroft alone
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(BIN)/.uv: requirements/bootstrap.txt
	@test -n "$(PYTHON)" || { echo "Undercroft needs Python 3.11 or newer on the PATH." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

$(BIN)/.runtime: $(BIN)/.uv requirements/runtime.txt pyproject.toml
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/runtime.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@$(BIN)/python -m compileall -q src
	@touch $@

$(BIN)/.dev: $(BIN)/.runtime requirements/dev.txt $(BIN)/.peers $(CLIENTS)/package-lock.json
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --ignore-scripts --prefix $(CLIENTS)
	@touch $@

$(BIN)/.peers: $(BIN)/.uv requirements/peers.txt
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(VENV)/peers
	@$(BIN)/uv pip install --quiet --python $(VENV)/peers/bin/python --require-hashes -r requirements/peers.txt
	@touch $@

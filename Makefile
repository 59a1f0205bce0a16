# Two commands for a newcomer: `make demo` and `make test`. Both set up what they need; only Python 3.11+ is assumed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CODE   := connector adapters tests bench

.PHONY: demo test check docs run bench lock clean format
.DEFAULT_GOAL := demo

$(VENV)/run.done: requirements/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(or $(MAKECMDGOALS),demo)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/test.done: requirements/test.txt $(VENV)/run.done
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/test.txt
	@touch $@

demo: $(VENV)/run.done  ## both sandboxes, the whole flow, no account needed
	$(BIN)/connector demo

test: check  ## everything
	$(BIN)/pytest -n auto --dist loadfile

check: $(VENV)/test.done  ## format, lint, types, import contracts
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/test.done
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

docs: $(VENV)/test.done  ## the documentation as a site, in site/
	$(BIN)/mkdocs build --strict --quiet

run: $(VENV)/run.done  ## the sidecar, on the environment as it is
	$(BIN)/connector serve

bench: $(VENV)/test.done  ## ratios, measured in one run
	$(BIN)/python -m bench

lock:  ## the only verb that needs uv
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --quiet pyproject.toml requirements/build.in -o requirements/run.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --quiet --extra test -c requirements/run.txt pyproject.toml requirements/build.in -o requirements/test.txt

clean:
	rm -rf $(VENV) site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

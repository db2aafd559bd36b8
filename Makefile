# Two targets for a newcomer: `make quickstart` shows the whole way, `make test` proves it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test docs clean

quickstart: .venv/installed
	@sh quickstart.sh $(BIN)

test: .venv/tested
	@# numba does not see that a function called from another file has changed.
	@find blurgen -name '*.nb[ic]' -delete
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2

.venv/installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[train]"
	@touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[train,dev]"
	@touch $@

docs: .venv/documented
	$(BIN)/mkdocs build --strict --quiet
	@echo "Open build/site/index.html"

.venv/documented: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[train,docs]"
	@touch $@

clean:
	rm -rf .venv quickstart build

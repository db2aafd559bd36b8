# Two targets for a newcomer: `make quickstart` shows the whole way, `make test` proves it. `make lowest` proves
# it for the lowest versions that setup.cfg allows.
PYTHON ?= python3
BIN := .venv/bin
LOWEST := .venv-lowest/bin

.PHONY: quickstart test lowest docs clean

quickstart: .venv/installed
	@sh quickstart.sh $(BIN)

test: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/vermin --quiet --no-parse-comments --violations --target=3.10- blurgen umsn cli tests benchmarks
	$(BIN)/pytest -n 2

# The numeric contract, the files, building and training; compiled for the plainest processor, whose vectors are
# the shortest: the bytes must be the same. (With torch 2.6 a compiled step is eight graphs, later it is one.)
lowest: .venv-lowest/installed
	NUMBA_CPU_NAME=generic $(LOWEST)/pytest -n 2 $(addprefix tests/test_,$(addsuffix .py,\
		pinned_digests contract philox normal recipe convolve kernels import_kernels decode store hdf5 shards \
		dataset mapped_rows build verify batches device_patches train checkpoint metrics scores)) \
		-k "not one_graph and not one_piece"

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

.venv-lowest/installed: setup.cfg constraints-lowest.txt
	rm -rf .venv-lowest
	$$(sh .ci/oldest_python $(PYTHON)) -m venv .venv-lowest
	$(LOWEST)/python -m pip install --quiet --upgrade pip
	$(LOWEST)/python -m pip install --quiet --constraint constraints-lowest.txt --editable ".[train,eval,plot,export,heic]" \
		pytest pytest-xdist hypothesis mpmath
	@touch $@

clean:
	rm -rf .venv .venv-lowest quickstart build

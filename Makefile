# Every target works from a fresh clone: the virtual environment is made when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_WAIT_POLICY = PASSIVE
unexport PYTHONDONTWRITEBYTECODE  # what is imported is compiled once, not in every process
export TOKENIZERS_PARALLELISM = false

.PHONY: test pytest demo lint bench clean

$(VENV)/.installed: pyproject.toml $(wildcard packages/*/pyproject.toml) constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt torch $(addprefix -e ,$(wildcard packages/*)) -e ".[dev]"
	touch $@

test: $(VENV)/.installed
	$(MAKE) --jobs=2 pytest lint

pytest: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

demo: $(VENV)/.installed
	$(BIN)/python examples/demo.py

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/against_diffusers.py

mini: $(VENV)/.installed
	$(BIN)/python scripts/train_mini.py

clean:
	rm -rf $(VENV) out

# Two commands for a fresh machine: `make demo` and `make test`. Each sets up what it needs, once.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test hostile chaos soak bench boards lint setup browser nginx quix clean

demo: setup
	$(BIN)/pixeltally demo

# A file's tests stay in one process, for what they share; the longest files come first.
test: setup browser nginx lint
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# 20,000 hostile requests; `make test` sends 3,000 of them.
hostile: setup
	PIXELTALLY_HOSTILE=20000 $(BIN)/pytest -s tests/integration/test_hostile.py

# The long form of tests/chaos: over 200 faults of every kind, kills and pauses of streams, Kafka away for two minutes.
chaos: setup
	PIXELTALLY_CHAOS=1 $(BIN)/pytest -s --timeout 4000 tests/chaos

# An hour's traffic at 30 % of what the machine can do: are memory, open files and disk flat?
SOAK_MINUTES ?= 60
soak: setup
	$(BIN)/python -m bench.soak --minutes $(SOAK_MINUTES)

# Needs wrk. The peers: nginx and Flask for ingest; idiomatic Faust and Quix Streams for streams; GoAccess for imports; facts
# alone for ClickHouse's views.
bench: setup quix
	$(BIN)/python -m bench.ingest
	$(BIN)/python -m bench.streams
	$(BIN)/python -m bench.importing
	$(BIN)/python -m bench.warehouse

# Quix Streams wants an older Kafka client than we do: an environment of its own.
quix: .venv/quix/ready

.venv/quix/ready: bench/quix.txt
	$(PYTHON) -m venv .venv/quix
	.venv/quix/bin/pip install --quiet --requirement $<
	touch $@

# Grafana's boards and alert rules, from their definitions.
boards: setup
	$(BIN)/python -m dashboards.boards

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: .venv/ready

.venv/ready: pyproject.toml local/pom.xml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with make PYTHON=…")'
	@echo "Setting up .venv: two minutes or three, once."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	$(BIN)/python -m local.kafka
	$(BIN)/python -m streams.warm
	$(BIN)/python -m ingest.warm
	touch $@

# The page's tests drive a real browser; they fail without one.
browser:
	@command -v chromium >/dev/null || $(call install,chromium) \
	|| { echo "make test needs Chromium: install your system's package so that 'chromium' is on PATH." >&2; exit 1; }

# nginx's tests are skipped without it, except in CI.
nginx:
	@PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || $(call install,nginx-light) \
	|| echo "without nginx, the tests of nginx as the front are skipped" >&2

install = { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	&& apt-get update -qq && apt-get install -y -qq --no-install-recommends $(1) >/dev/null; }

clean:
	rm -rf .venv data

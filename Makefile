# Everything starts here: `make run`, `make test`, `make check`. All state is in .parley/.
# Another Python: make PYTHON=python3.12 run. Another port: make PORT=8001 run.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .parley/venv/bin
export PORT
# A supervisor whose `make` was killed stops in good order (util-linux; else it stays).
FOLLOW := $(shell command -v setpriv >/dev/null && echo setpriv --pdeathsig TERM)

.PHONY: run test lint check format bench bench-evidence bench-gateway loadtest lock compose manage clean environment help
.DEFAULT_GOAL := help

help:
	@echo "make run      start Parley on this machine (PORT=8000)"
	@echo "make test     the whole suite, on services that it starts itself"
	@echo "make lint     format, lint, types, import contracts, migrations, protocol schema"
	@echo "make check    lint, then test: the gate"
	@echo "make format   let ruff put the format right"
	@echo "make bench [part=synapse]        Parley beside Synapse, ejabberd, prosody, PeerJS and ws"
	@echo "make bench-evidence [part=log]   measure what docs/performance.md promises"
	@echo "make loadtest PROFILE=smoke      load all of Parley, here or at TARGET=https://… (docs/loadtests.md)"
	@echo "make bench-gateway [part=relay]  the same of sockets, beside those peers"
	@echo "make manage do='audit_verify'   a command of manage.py, beside a running Parley"
	@echo "make compose  all of Parley in containers, on a machine with Docker"
	@echo "make lock     resolve the requirements again and lock them with their hashes"
	@echo "make clean    delete .parley/: the environment, the data, the secrets"

environment:
	@$(or $(PYTHON),python3) dev/bootstrap.py

run: environment
	@exec $(FOLLOW) $(BIN)/python -m dev run

test: environment
	@exec $(BIN)/python -m dev test $(args)

lint: environment
	@exec $(BIN)/python -m dev lint

check: environment
	@$(BIN)/python -m dev lint && exec $(BIN)/python -m dev test $(args)

format: environment
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: environment
	@exec $(BIN)/python -m benchmarks.peers $(part) $(args)

bench-evidence: environment
	@exec $(BIN)/python -m benchmarks $(part) $(args)

# Variables of the command line are in the environment: loadtests/README.md names them.
loadtest: environment
	@exec $(FOLLOW) $(BIN)/python -m loadtests

bench-gateway: environment
	@exec $(BIN)/python -m benchmarks.gateway $(part) $(args)

compose:
	@$(or $(PYTHON),python3) -m dev.compose && exec docker compose up --build --detach

manage: environment
	@exec $(BIN)/python manage.py $(do)

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
lock: environment
	@$(BIN)/$(COMPILE) $(upgrade) requirements-dev.txt -o requirements-dev-lock.txt
	@$(BIN)/$(COMPILE) -c requirements-dev-lock.txt requirements.txt -o requirements-lock.txt
	@$(BIN)/$(COMPILE) $(upgrade) tests/verifiers/sigstore.txt -o tests/verifiers/sigstore-lock.txt
	@$(BIN)/$(COMPILE) $(upgrade) benchmarks/peers/synapse.txt -o benchmarks/peers/synapse-lock.txt

clean:
	@[ ! -e .parley/venv/bin/python ] || $(BIN)/python -m dev.clean
	@rm -rf .parley

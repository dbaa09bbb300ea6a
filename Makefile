# Two commands matter: `make demo` (the main job, no root needed) and `make test`.
SHELL := /bin/bash
# The distribution's own interpreter where it is new enough: every account can read it, and it is built to be fast
# (docs/decisions/0064).
PYTHON ?= $(shell for python in /usr/bin/python3 python3; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && exit; \
	done; echo python3)
VENV := .venv
BIN := $(VENV)/bin
# The tests mostly wait for processes: one more worker than cores keeps two cores busy.
WORKERS ?= 3
# Where pip looks is the machine's own business; a newer pip than the venv's is not needed.
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# Where `make install` puts the programs of a storage host.
PREFIX ?= /opt/fdtcp

.PHONY: demo test test-long lint format bench docs tools install clean help

help:
	@echo "make demo       move a generated data set between two daemons on this machine (SIZE=8GiB for more)"
	@echo "make test       install what the tests need, run them all"
	@echo "make test-long  the long forms as well"
	@echo "make lint       format, style, types, import contracts"
	@echo "make bench      a short comparison with GridFTP, rsync, xrdcp, rclone, cp, iperf3 ...: table, build/bench.json and .svg"
	@echo "make install    as root: a storage host's programs, units and accounts, into $(PREFIX), /etc and /usr/libexec"
	@echo "make docs       write the generated pages in docs/ anew"

$(VENV)/.run: pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: say make PYTHON=/path/of/a/newer/python" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "no venv: install python3-venv (Debian) or python3-pip (others)" >&2; exit 1; }
	@echo "installing into $(VENV) (once)"
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "installing what the tests and checks need into $(VENV) (once)"
	@$(PIP) install --editable '.[dev]'
	@touch $@

demo: $(VENV)/.run
	@$(BIN)/fdtcp demo $(if $(SIZE),--size $(SIZE))

tools:
	@tests/install_tools

test: $(VENV)/.dev tools
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not long"

test-long: $(VENV)/.dev tools
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: $(VENV)/.dev
	@$(BIN)/ruff format --check --quiet . || { echo "run make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache

format: $(VENV)/.dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.dev
	@tests/install_tools bench
	@$(BIN)/python -m benchmarks --quick --json build/bench.json --svg build/bench.svg

docs: $(VENV)/.run
	@$(BIN)/python docs/errortable.py > docs/errors.md
	@$(BIN)/python docs/statediagrams.py > docs/states.md

# An interpreter that all accounts can read, so not one in somebody's home.  What is configured already is left alone.
install: PYTHON = /usr/bin/python3
install:
	@test "$$(id -u)" = 0 || { echo "make install is for root" >&2; exit 1; }
	$(PYTHON) -m venv $(PREFIX)
	$(PREFIX)/bin/python -m pip install --quiet --upgrade .
	ln -sf $(addprefix $(PREFIX)/bin/,fdtcp fdtd authsvc) /usr/local/bin/
	getent group fdtusers >/dev/null || groupadd -r fdtusers
	getent passwd fdt >/dev/null || useradd -r -U -d /var/lib/fdtd -s /usr/sbin/nologin fdt
	install -d -o fdt -g fdt -m 750 /var/lib/fdtd /var/log/fdtd /run/fdtd
	install -d /usr/libexec/fdtd /etc/fdtcp
	sed 's|/usr/bin/python3|$(PREFIX)/bin/python3|' etc/mover > /usr/libexec/fdtd/mover
	chmod 755 /usr/libexec/fdtd/mover
	install -m 440 etc/sudoers.fdtd /etc/sudoers.d/fdtd
	for unit in systemd/*.service systemd/*.timer; do \
	    sed 's|=/usr/bin/|=$(PREFIX)/bin/|' $$unit > /etc/systemd/system/$${unit##*/} || exit 1; done
	for file in fdtd.conf fdtcp.conf authsvc.conf; do \
	    test -e /etc/fdtcp/$$file || install -m 644 etc/$$file /etc/fdtcp/$$file || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

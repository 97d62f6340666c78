# The commands of this project. `make demo` and `make test` install what they need, below .tools/ and nowhere else.

PYTHON ?= python3
SAM := .tools/sam/bin
CHECKS := .tools/checks/bin
DENY := .tools/cargo-deny/bin/cargo-deny --locked check

.DEFAULT_GOAL := help
.PHONY: help demo local test permissions faults fuzz bench rolling bench-core counts economy gallery check tools fmt clean

help: ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F '\t' '{ printf "  make %-11s %s\n", $$1, $$2 }'

demo: ## a short story on a local AWS: deploy, run away, be warned (under three minutes once built)
	@$(PYTHON) tools/localaws.py demo

local: ## a local AWS with the deployed stack, to play with until Ctrl-C
	@$(PYTHON) tools/localaws.py local

test: ## every test there is, the end-to-end ones on the shipped artefact included
	@$(PYTHON) tools/run_tests.py

permissions: ## write docs/permissions.md anew from the policies as they are deployed
	@UPDATE_EXPECT=1 $(PYTHON) tools/localaws.py run -- python -m unittest discover --start-directory tests/deployed -k PermissionsTest

gallery: ## make docs/gallery anew: every mail as a browser shows it, light and dark; needs Chromium
	cargo build --locked --workspace --bins
	@$(PYTHON) tools/install.py pictures
	@.tools/pictures/bin/python tools/gallery.py

faults: ## every call of a run times every fault, on all cores; writes docs/faults.md anew (some minutes)
	@WATCHDOG_FAULTS_PAGE=1 cargo test --profile sweep --workspace --locked --test all faults:: -- --nocapture

# The topics of the core and of the tool that read what others wrote; `tests/it/parsers.rs` of the core says which text is read where.
PARSERS := parsers:: hostile:: policy:: event:: submitter:: ledger:: usage:: queries:: schema:: bytes:: percent:: rows::

fuzz: ## whatever reads other people's text, with CASES=20000 random texts a property (some minutes)
	@PROPTEST_CASES=$(or $(CASES),20000) cargo test --profile sweep --workspace --locked --lib --bin watchdog --test it -- $(PARSERS)

bench: ## what the function that ships costs to start and run, beside one in Python (some minutes); writes target/bench.json
	@$(PYTHON) tools/localaws.py build
	@cargo run --quiet --release --locked --package watchdog-bench -- \
		.aws-sam/build/Function/bootstrap .tools/local-aws/bin/python target/bench.json

rolling: ## the back-test of 8.6 million rows beside DuckDB adding up the same (minutes once built); writes target/rolling.json
	@$(PYTHON) tools/install.py local-aws
	@cargo build --quiet --release --locked --package watchdog-cli
	@.tools/local-aws/bin/python tools/bench/rolling.py target/release/watchdog target/rolling.json

bench-core: ## how long the core's decisions take, for windows and pasts of an hour to 28 days and up to 1,000 workgroups
	@CARGO_TARGET_DIR=target/core-bench cargo bench --quiet --locked --package watchdog-core --bench decisions

counts: ## instructions of the same, against the table that is checked in; UPDATE=1 writes it anew; needs valgrind
	@$(PYTHON) tools/counts.py $(if $(UPDATE),--update)

economy: ## write the table of docs/economy.md anew from the series in SERIES (a folder of CSV files and limits)
	cargo build --locked --workspace --bins
	@$(PYTHON) tools/economy_table.py target/debug/watchdog $(SERIES)

check: tools ## format, clippy, licences and sources, spelling, the template
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	$(DENY) bans licenses sources
	@$(PYTHON) tools/advisories.py $(DENY) advisories
	$(CHECKS)/typos
	@$(PYTHON) tools/counts.py
	SAM_CLI_TELEMETRY=0 $(SAM)/sam validate --lint --region eu-central-1
	$(SAM)/cfn-lint template.yaml
	.tools/checkov/bin/checkov --config-file .checkov.yaml

tools: ## install the pinned tools (some minutes, once)
	@$(PYTHON) tools/install.py local-aws sam iam checks checkov cargo-deny

fmt: ## format the Rust code
	cargo fmt --all

clean: ## remove everything that was built or installed
	cargo clean
	rm -rf .aws-sam .local .tools

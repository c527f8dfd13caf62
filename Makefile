# Build, run and check zonebeat on a Debian machine with Rust. `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test setup lint deny advisories doc tests absence etcd instructions differential world fuzz bench bench-quick fmt clean

# Seconds that `make fuzz` gives each target; `make test` takes FUZZ_TEST of them.
SECONDS := 30
FUZZ_TEST := 30

# What `make differential` compares: generated zones, from a seed; an empty one is chosen by chance and printed.
ZONES := 3000
SEED :=

CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := target/tools/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny

SCRIPTS := .ci/run $(wildcard fuzz/*.sh scripts/*.sh benches/*.sh)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: ## build the server and run it in the foreground; it prints what to try next
	@scripts/packages.sh run
	cargo build --release --locked
	@exec target/release/zonebeat serve --config config/quickstart.toml

test: setup lint deny doc tests instructions fuzz-briefly ## everything that has to pass: rules, tests, short fuzz runs

setup: ## install the Debian packages that the tests need
	@scripts/packages.sh test

lint: ## formatting, clippy with warnings denied, shell scripts, the systemd units
	cargo fmt --all --check
	@! git grep -nE '^(<{7}|>{7}) ' || { echo 'the lines above are left of a merge' >&2; exit 1; }
	cargo clippy --workspace --all-targets --locked -- -D warnings
	shellcheck $(SCRIPTS)
	@mkdir -p target
	@for unit in zonebeat zonebeat-agent; do \
	    sed 's#^ExecStart=[^ ]*#ExecStart=/bin/true#; /^Documentation=/d' config/$$unit.service > target/$$unit.service; done
	systemd-analyze verify target/zonebeat.service target/zonebeat-agent.service
	systemd-analyze security --offline=true --threshold=20 --no-pager target/zonebeat.service | tail -n 1
	systemd-analyze security --offline=true --threshold=50 --no-pager target/zonebeat-agent.service | tail -n 1

deny: $(CARGO_DENY) ## licences, bans and sources of every dependency
	$(CARGO_DENY) --locked check --hide-inclusion-graph bans licenses sources

advisories: $(CARGO_DENY) ## known vulnerabilities of every dependency; needs the network
	$(CARGO_DENY) --locked check --hide-inclusion-graph advisories

# Built without optimisation: it takes a minute instead of five, and the check takes two seconds.
$(CARGO_DENY):
	cargo install --locked --debug --root target/tools/cargo-deny-$(CARGO_DENY_VERSION) \
	    cargo-deny@$(CARGO_DENY_VERSION)

doc: ## the library's documentation, with warnings denied
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

tests: ## the tests alone; prints their total
	@mkdir -p target
	cargo test --locked --no-fail-fast 2>&1 | tee target/tests.log
	@awk '/^test result:/ { passed += $$4; failed += $$6 } \
	    END { printf "%d passed, %d failed\n", passed, failed; exit passed == 0 }' target/tests.log

absence: ## everybody is gone for ten minutes and comes back, with the default settings: 22 minutes
	@scripts/packages.sh test
	cargo test --locked --test time -- --ignored --nocapture

etcd: ## the etcd store while its members are killed, frozen, emptied and put back
	@scripts/packages.sh test
	cargo test --locked --test store_etcd -- --ignored

instructions: ## instructions per query, compared with benches/instructions.txt
	@scripts/packages.sh test
	scripts/instructions.sh

differential: ## compare our answers with BIND's, Knot's and NSD's on ZONES zones, from SEED
	@scripts/packages.sh test
	@seed='$(SEED)'; export DIFFERENTIAL_SEED=$${seed:-$$((RANDOM * 32768 + RANDOM))} DIFFERENTIAL_ZONES=$(ZONES); \
	    echo "make differential ZONES=$(ZONES) SEED=$$DIFFERENTIAL_SEED"; \
	    cargo test --locked --test differential -- --nocapture

world: ## 200 sessions for ten minutes under churn, kills, stalls and packet loss (docs/testing.md)
	@scripts/packages.sh test
	ZONEBEAT_WORLD_SECONDS=600 ZONEBEAT_WORLD_SESSIONS=200 cargo test --locked --test world -- --nocapture what_lives

fuzz: ## run every fuzz target for SECONDS seconds
	@scripts/packages.sh test
	fuzz/run.sh $(SECONDS)

.PHONY: fuzz-briefly
fuzz-briefly:
	fuzz/run.sh $(FUZZ_TEST)

bench: ## measure all that docs/performance.md shows and write it there: 40 minutes (benches/README.md)
	@scripts/packages.sh bench
	@rm -rf target/bench && mkdir -p target/bench
	cargo build --release --locked
	benches/queries.py --json target/bench/queries.json
	benches/queries.py --tcp --json target/bench/tcp.json
	benches/queries.py --workers 2 --mixes acd --json target/bench/workers.json
	benches/queries.py --big --mixes acdn --json target/bench/big.json
	benches/million.py --json target/bench/million.json
	benches/million.py --lone --json target/bench/lone.json
	benches/registrations.py | tee target/bench/registrations.txt
	benches/visible.py | tee target/bench/visible.txt
	cargo bench --locked --bench heartbeats | tee target/bench/heartbeats.txt
	cargo bench --locked --bench heartbeats -- fleet | tee target/bench/fleet.txt
	cargo bench --locked --bench churn -- --instances 1000000 --seconds 60 --hot | tee target/bench/churn.txt
	cargo bench --locked --bench churn -- --instances 1000000 --seconds 60 --hot --queries 5000 | tee -a target/bench/churn.txt
	cargo bench --locked --bench large | tee target/bench/large.txt
	benches/scale.py
	cp docs/scale.json target/bench/scale.json
	benches/cycles.py | tee target/bench/cycles.txt
	benches/report.py

bench-quick: ## the same, small and rough: 5 minutes after the build
	@scripts/packages.sh bench
	@mkdir -p target/bench
	cargo build --release --locked
	benches/queries.py --rounds 1 --seconds 1
	benches/queries.py --tcp --rounds 1 --seconds 1 --peers nsd,knot
	benches/queries.py --workers 2 --rounds 1 --seconds 1 --peers knot
	benches/million.py --instances 100000
	benches/million.py --instances 20000 --lone
	benches/visible.py --count 200
	cargo bench --locked --bench heartbeats -- 1
	benches/scale.py --sizes 1000,10000,100000 --json target/bench/scale.json --svg target/bench/scale.svg
	benches/cycles.py --seconds 2

fmt: ## format the code
	cargo fmt --all

clean: ## remove everything that was built
	cargo clean

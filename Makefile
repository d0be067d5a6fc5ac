# One verb per job. `make demo` and `make test` do all of their own set-up.
#
# Every cargo command selects the whole workspace: the choice of packages decides which features their common
# dependencies get, and another choice would compile kube once more.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CARGO_TERM_COLOR ?= auto
TARGET := $(or $(CARGO_TARGET_DIR),target)
LAB ?= --fail kill --runs 3

.PHONY: help demo test setup tools build fmt lint docs unit no-std fuzz bench-smoke rivals manifests lab routers interop e2e crds bench bench-bgp bench-bgp-speed clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build, then run the lab: a LAN, three nodes, a failure (LAB="--fail link" for another one)
	scripts/setup demo
	cargo build --locked --workspace --bins
	$(TARGET)/debug/metalctl lab $(LAB)

test: ## Everything that CI runs; about 30 minutes the first time, a few minutes afterwards
	scripts/test

setup: ## Install the system packages that the tests need
	scripts/setup

tools: ## Build etcd, kube-apiserver and kube-proxy once, into the cache
	tests/tools/build

build: ## Build everything without optimising the link
	cargo build --locked --workspace --all-targets

fmt: ## Check the formatting
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo fmt --manifest-path tests/no-std/Cargo.toml --check
	cargo fmt --manifest-path benches/rivals/Cargo.toml --check

lint: ## Clippy, warnings are errors
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --workspace --test '*' -- -D warnings # those with `test = false` are no part of all

docs: ## Rustdoc, warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

unit: ## Unit tests, property tests, simulations
	cargo test --locked --workspace

no-std: ## Link the pure crates into a program without std
	cd tests/no-std && cargo build --locked

fuzz: ## Run each fuzz target for a short while (FUZZ_SECONDS=10)
	scripts/fuzz-smoke

bench-smoke: ## Run each benchmark once
	cargo test --locked --workspace --bench arp_reply --bench beacon --bench bgp_rib --bench election --bench ipam

rivals: ## What we write, other BGP codecs and tshark read the same; the codecs' benchmarks, once
	cd benches/rivals && cargo test --locked --all-targets

manifests: ## The controller on a directory of manifests
	cargo build --locked --workspace --bins
	cargo test --locked --workspace --test manifests

lab: ## The lab as a test: all faults, the failures that it has to report, and each router; IPv6 beside the kernel's own; TCP for BGP
	cargo build --locked --workspace --bins
	cargo test --locked --workspace --test lab -- --test-threads=1 --nocapture
	cargo test --locked --workspace --test neighbours -- --test-threads=1 --nocapture
	cargo test --locked --workspace --test fast_path -- --test-threads=1 --nocapture
	cargo test --locked --workspace --test tcp

routers: ## BGP sessions with real routers: FRR, BIRD, GoBGP, ExaBGP; compares with docs/bgp-interop.md; what measures them, once
	cargo test --locked --workspace --test routers
	cargo test --locked --workspace --bench bgp_speed

interop: ## The first of these, and writes docs/bgp-interop.md again
	cargo test --locked --workspace --test routers -- --write

e2e: ## End to end: a real API server, kube-proxy, nginx, curl, on network namespaces
	scripts/e2e

crds: ## Write the generated files again
	cargo build --locked --workspace --bins
	$(TARGET)/debug/metalctl crds --write deploy/crds

bench: ## The benchmarks, as docs/benchmarks.md quotes them
	cargo bench -p metal-benches

bench-bgp: ## Our BGP codec beside others, as docs/benchmarks.md quotes it
	rm -rf benches/rivals/target/criterion
	cd benches/rivals && cargo bench --locked --no-run
	cd benches/rivals && for run in run1 run2 run3 run4 run5; do \
		cargo bench --locked -- --noplot --warm-up-time 0.1 --measurement-time 0.5 --save-baseline $$run || exit; done
	cd benches/rivals && cargo run --quiet --locked --example table

bench-bgp-speed: ## BGP end to end beside a minimal sender, as docs/benchmarks.md quotes it (SPEED="bird --turns 3")
	cargo bench --locked -p metal-benches --bench bgp_speed -- $(SPEED)

clean: ## Remove what was built
	cargo clean

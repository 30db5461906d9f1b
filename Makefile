.PHONY: test lint fmt bench

# Everything that can fail: unit, integration and documentation tests, and the official SDKs.
test:
	tests/setup
	cargo test --locked --all-targets
	cargo test --locked --doc

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

fmt:
	cargo fmt

# Measures the release build side by side with nginx, what translating costs, and what quotas cost.
bench:
	tests/setup
	cargo bench --locked --bench translation
	cargo bench --locked --bench quota
	cargo bench --locked --bench beside_nginx

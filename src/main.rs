//! The `api-gateway` program. Everything is in the library, so that tests can reach it.

use std::process::ExitCode;

/// Many small allocations on few threads: it is faster than the system's and keeps memory flat.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    api_gateway::cli::run()
}

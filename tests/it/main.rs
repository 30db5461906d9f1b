//! The gateway as its users see it: the built binary, real sockets, simulated providers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "in a test, what goes wrong is to fail it loudly"
)]

mod admin;
mod alerts;
mod auth;
mod backpressure;
mod bodies;
mod chat;
mod cli;
mod client_errors;
mod commit;
mod cooldown;
mod cors;
mod crash;
mod cut_streams;
mod demo;
mod deploy;
mod dialects;
mod failover;
mod hangup;
mod layers;
mod leaks;
mod logs;
mod metrics;
mod models;
mod nginx;
mod passed;
mod periods;
mod quota;
mod reload;
mod sdk;
mod sdk_fixtures;
mod sdk_matrix;
mod streaming;
mod support;
mod surface;
mod upstream;
mod upstream_tls;
mod usage_files;
mod weights;

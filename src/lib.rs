//! `api-gateway`: one small gateway in front of many AI API accounts.
//!
//! The modules below are in order of dependency: each uses only those above it.

// Values that logs and errors never show.
pub mod secret;

// Wall-clock time as a value.
pub mod clock;

// The common language: usage and failures.
pub mod chat;

// The dialects: bytes and JSON in and out.
pub mod protocol;

// How much each provider may still be asked.
pub mod quota;

// Who serves a request.
pub mod routing;

// The configuration file: read, judged, watched.
pub mod config;

// The call out.
pub mod upstream;

// What we tell: the log.
pub mod telemetry;

// What all workers share.
pub mod state;

// The way of one request. Read this first.
pub mod proxy;

// The door: HTTP in and out.
pub mod http;

// What an operator sees and does.
pub mod admin;

// Every URL on one page.
pub mod routes;

// Providers that are not there, for the demo, the tests and the benchmark.
pub mod simulator;

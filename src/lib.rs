//! `api-gateway`: one small gateway in front of many AI API accounts.
//!
//! The way of a request: [`http`] reads it, [`proxy::handle`] tells its story, [`routing`] says who is
//! asked, [`quota`] whether they may be, [`upstream`] asks, [`protocol`] understands the answer.
//!
//! The modules below are in order of dependency: each uses only those above it, which a test checks.
//! Nothing in `chat`, `protocol`, `routing` or `quota` (but its journal and store) does IO, reads a
//! clock or logs. A request reads the configuration once. Nothing fails over after commit. Every
//! reservation ends exactly once. Only `upstream` knows awc's exchanges, only `http`, `admin`, `routes`
//! and `server` know actix-web; plain HTTP types of `actix_http` also serve `routing` and `proxy`.

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

// Assembly and signals.
pub mod server;

// Providers that are not there, for the demo, the tests and the benchmark.
pub mod simulator;

// The gateway in front of simulated providers.
pub mod demo;

// The command line.
pub mod cli;

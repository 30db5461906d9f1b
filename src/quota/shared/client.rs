//! IO: one connection to Redis, and the script that is run there.

use std::fmt;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ConnectionInfo, ErrorKind, IntoConnectionInfo, Pipeline, RedisError,
    Script, ServerErrorKind, TlsCertificates, Value,
};

use super::claim::{Acked, Claim, Kind, Told, WindowClaim, WindowTold};
use crate::clock::UnixMillis;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an answer may take. A claim is a matter of less than a millisecond, and requests may wait for it.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(300);

/// Lua counts in doubles, which are exact up to here.
const MAX: u64 = 1 << 53;

/// How to reach Redis, and as whom.
#[derive(Clone)]
pub struct Settings {
    /// `redis://`, `rediss://` or `redis+unix://`, with user, password and number of the database.
    pub url: String,
    /// PEM of the authorities to trust in place of the public ones, for `rediss://`.
    pub ca: Option<Vec<u8>>,
    /// What the names of all keys begin with.
    pub prefix: String,
    /// The id of this replica.
    pub replica: String,
    /// How long this replica counts as alive after a claim.
    pub lease: Duration,
    /// How long nothing more is granted after a loss of data, so that every replica can say what it has used.
    pub grace: Duration,
}

/// The default of [`Settings::grace`]: longer than a replica needs to notice a broken connection and make a new one.
pub const GRACE: Duration = Duration::from_secs(2);

/// Speaks with Redis on behalf of one replica.
///
/// After an error there is no connection any more; [`Client::connect`] makes another, when the caller sees fit.
pub struct Client {
    redis: redis::Client,
    address: String,
    prefix: String,
    replica: String,
    lease: Duration,
    grace: Duration,
    script: Script,
    link: Option<Link>,
}

/// A connection, and the process at its other end.
struct Link {
    connection: MultiplexedConnection,
    run_id: String,
    /// When that process began to run, by its own clock and at the latest.
    started: i64,
}

/// All that Redis knew of an account at some moment, in its own form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backup {
    records: Vec<(Vec<u8>, Vec<u8>)>,
    usages: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Why Redis did not do what was asked. Shows the address but no user and no password.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// The URL or a certificate makes no sense.
    Settings(String),
    /// There is no connection, or it broke, or the answer took too long. What was asked may have been done.
    Unreachable {
        /// The server's address.
        address: String,
        /// What happened.
        why: String,
    },
    /// The server answered that it will not.
    Refused {
        /// The server's address.
        address: String,
        /// What it said.
        why: String,
    },
}

impl Client {
    /// Prepares to speak with Redis. Connects to nothing yet.
    pub fn new(settings: Settings) -> Result<Client, Error> {
        let info = connection_info(&settings.url)?;
        let address = info.addr().to_string();
        let redis = match &settings.ca {
            Some(pem) => redis::Client::build_with_tls(
                info,
                TlsCertificates {
                    client_tls: None,
                    root_cert: Some(pem.clone()),
                },
            ),
            None => redis::Client::open(info),
        };
        let redis = redis.map_err(|error| Error::Settings(reason(&error)))?;
        Ok(Client {
            redis,
            address,
            prefix: settings.prefix,
            replica: settings.replica,
            lease: settings.lease,
            grace: settings.grace,
            script: Script::new(include_str!("exchange.lua")),
            link: None,
        })
    }

    /// Where Redis is, without user and password.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether there is a connection that has not failed yet.
    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Makes a new connection in place of the one there is.
    pub async fn connect(&mut self) -> Result<(), Error> {
        self.link = None;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let connected = self
            .redis
            .get_multiplexed_async_connection_with_config(&config)
            .await;
        let mut connection = connected.map_err(|error| self.unreachable(&error))?;
        let mut ask = redis::pipe();
        ask.cmd("INFO").arg("server").cmd("TIME");
        let answer: Result<(String, (i64, i64)), RedisError> =
            ask.query_async(&mut connection).await;
        let (info, (secs, micros)) = answer.map_err(|error| self.error(&error))?;
        let (Some(run_id), Some(uptime)) = (
            info_field(&info, "run_id"),
            info_field(&info, "uptime_in_seconds").and_then(|text| text.parse::<i64>().ok()),
        ) else {
            return Err(Error::Refused {
                address: self.address.clone(),
                why: "INFO has no run_id and uptime_in_seconds, so that lost data would not be noticed"
                    .to_owned(),
            });
        };
        self.link = Some(Link {
            connection,
            run_id: run_id.to_owned(),
            // Both are rounded down: it began before the next whole second, and has begun.
            started: ((secs - uptime + 1) * 1000).min(secs * 1000 + micros / 1000),
        });
        Ok(())
    }

    /// Tells all claims at once, and what Redis says to each of them.
    ///
    /// After an error some may have been taken; all may be sent again as they are.
    pub async fn exchange(&mut self, claims: &[Claim]) -> Result<Vec<Told>, Error> {
        let accounts: Vec<&str> = claims.iter().map(|claim| &*claim.account).collect();
        let answers = self.run(&accounts, |asked, client, link, at| {
            client.claim_args(asked, link, &claims[at]);
        });
        let answers = answers.await?;
        let told = claims.iter().zip(&answers).map(|(claim, answer)| {
            told(answer, claim.windows.len()).ok_or_else(|| self.nonsense())
        });
        told.collect()
    }

    /// Fetches what Redis knows of these accounts.
    pub async fn backup(&mut self, accounts: &[&str]) -> Result<Vec<Backup>, Error> {
        let answers = self.run(accounts, |asked, _, _, _| {
            asked.arg("backup");
        });
        let answers = answers.await?;
        let backups = answers
            .iter()
            .map(|answer| backup(answer).ok_or_else(|| self.nonsense()));
        backups.collect()
    }

    /// Puts back what Redis does not know any more. Whoever has said something newer is left alone.
    /// Returns for each account of how many replicas something was put back.
    pub async fn restore(&mut self, backups: &[(&str, &Backup)]) -> Result<Vec<u64>, Error> {
        let accounts: Vec<&str> = backups.iter().map(|(account, _)| *account).collect();
        let answers = self.run(&accounts, |asked, client, link, at| {
            let (_, backup) = backups[at];
            asked.arg("restore");
            asked.arg(&link.run_id).arg(link.started);
            asked.arg(millis(client.grace)).arg(backup.records.len());
            for (name, value) in backup.records.iter().chain(&backup.usages) {
                asked.arg(name).arg(value);
            }
        });
        let answers = answers.await?;
        let counts = answers.iter().map(|answer| match answer {
            Value::Int(restored) => u64::try_from(*restored).map_err(|_| self.nonsense()),
            _ => Err(self.nonsense()),
        });
        counts.collect()
    }

    /// Runs the script for each of the accounts in one round trip; `args` adds what is asked of the one at its place.
    async fn run(
        &mut self,
        accounts: &[&str],
        args: impl Fn(&mut Pipeline, &Client, &Link, usize),
    ) -> Result<Vec<Value>, Error> {
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        // Taken out, and put back unless something went wrong: what is left of a connection that failed may
        // be the answers to earlier questions, and one to a server that refuses may be better made anew.
        let Some(mut link) = self.link.take() else {
            return Err(Error::Unreachable {
                address: self.address.clone(),
                why: "not connected".to_owned(),
            });
        };
        let mut asked = Pipeline::with_capacity(accounts.len());
        for (at, account) in accounts.iter().enumerate() {
            let key = |of| format!("{{{}:{account}}}:{of}", self.prefix);
            asked.cmd("EVALSHA").arg(self.script.get_hash());
            asked.arg(3).arg(key("r")).arg(key("u")).arg(key("d"));
            args(&mut asked, self, &link, at);
        }
        let mut answer = asked.query_async(&mut link.connection).await;
        if answer.as_ref().is_err_and(is_unknown_script) {
            answer = match self
                .script
                .prepare_invoke()
                .load_async(&mut link.connection)
                .await
            {
                Ok(_) => asked.query_async(&mut link.connection).await,
                Err(error) => Err(error),
            };
        }
        let answers = answer.map_err(|error| self.error(&error))?;
        self.link = Some(link);
        Ok(answers)
    }

    fn claim_args(&self, asked: &mut Pipeline, link: &Link, claim: &Claim) {
        let (acked, until) = claim
            .acked
            .map_or((0, 0), |acked| (acked.version, acked.until.0));
        asked.arg("exchange");
        match claim.life {
            0 => asked.arg(&self.replica),
            life => asked.arg(format!("{}-{life}", self.replica)),
        };
        asked.arg(claim.version);
        asked.arg(acked).arg(until).arg(u8::from(claim.whole));
        asked.arg(&link.run_id).arg(link.started);
        asked.arg(millis(self.grace)).arg(millis(self.lease));
        asked.arg(claim.windows.len());
        for window in &claim.windows {
            window_args(asked, window);
        }
    }

    fn unreachable(&self, error: &RedisError) -> Error {
        Error::Unreachable {
            address: self.address.clone(),
            why: reason(error),
        }
    }

    /// An error by whether the server said it.
    fn error(&self, error: &RedisError) -> Error {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => Error::Refused {
                address: self.address.clone(),
                why: reason(error),
            },
            _ => self.unreachable(error),
        }
    }

    fn nonsense(&self) -> Error {
        Error::Refused {
            address: self.address.clone(),
            why: "an answer that makes no sense".to_owned(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Settings(why) => write!(f, "redis: {why}"),
            Error::Unreachable { address, why } => write!(f, "redis at {address}: {why}"),
            Error::Refused { address, why } => write!(f, "redis at {address} refused: {why}"),
        }
    }
}

impl std::error::Error for Error {}

/// Whether this is the URL of a server, with its port and the number of a database.
pub fn is_url(url: &str) -> bool {
    connection_info(url).is_ok()
}

fn connection_info(url: &str) -> Result<ConnectionInfo, Error> {
    url.into_connection_info()
        .map_err(|error| Error::Settings(reason(&error)))
}

/// What went wrong, in the words of the library or the server. Neither repeats an URL or a password.
fn reason(error: &RedisError) -> String {
    error.to_string()
}

/// Whether a server that was restarted, or whose scripts were flushed, does not know ours.
fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// One line of what INFO tells.
fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).map_or(MAX, |millis| millis.min(MAX))
}

fn window_args(asked: &mut Pipeline, window: &WindowClaim) {
    let (kind, a, b) = match window.kind {
        Kind::Fixed { start, end } => ("F", moment(start), moment(end)),
        Kind::Rolling { every_ms, slot_ms } => ("R", double(every_ms), double(slot_ms.max(1))),
        Kind::Forever { start } => ("E", moment(start), 0.0),
        Kind::Slots => ("S", 0.0, 0.0),
    };
    let caps = window.caps.map(|cap| cap.map_or(-1.0, double));
    let numbers = [window.held, window.wish].concat();
    let mut claim = Vec::with_capacity(15 * 8);
    pack(&mut claim, [a, b]);
    pack(&mut claim, caps);
    pack(&mut claim, numbers.into_iter().map(double));
    pack(&mut claim, [double(window.in_flight)]);
    let mut used = Vec::with_capacity(window.used.len() * 5 * 8);
    for (start, numbers) in &window.used {
        pack(&mut used, [moment(*start)]);
        pack(&mut used, numbers.map(double));
    }
    asked.arg(&window.id).arg(kind).arg(claim).arg(used);
}

/// Numbers as the script unpacks them: decimals would cost it more than all that it computes.
fn pack(into: &mut Vec<u8>, numbers: impl IntoIterator<Item = f64>) {
    for number in numbers {
        into.extend(number.to_be_bytes());
    }
}

fn double(number: u64) -> f64 {
    number.min(MAX) as f64
}

fn moment(time: UnixMillis) -> f64 {
    time.0 as f64
}

/// The answer to a claim of so many windows.
fn told(answer: &Value, windows: usize) -> Option<Told> {
    let Value::Array(values) = answer else {
        return None;
    };
    let mut numbers = values.iter().map(|value| match value {
        Value::Int(number) => Some(*number),
        _ => None,
    });
    let mut next = || numbers.next().flatten();
    let time = UnixMillis(next()?);
    let replicas = count(next()?);
    let recovering = next()? == 1;
    let lost = next()? == 1;
    let acked = Acked {
        version: count(next()?),
        until: UnixMillis(next()?),
    };
    let mut told = Vec::with_capacity(windows);
    for _ in 0..windows {
        let stale = next()? == 1;
        let mut units = || {
            Some([
                count(next()?),
                count(next()?),
                count(next()?),
                count(next()?),
            ])
        };
        told.push(WindowTold {
            stale,
            granted: units()?,
            others_used: units()?,
            others_held: units()?,
            others_credit: units()?,
            others_in_flight: count(next()?),
        });
    }
    Some(Told {
        time,
        acked,
        replicas,
        recovering,
        lost,
        windows: told,
    })
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn backup(answer: &Value) -> Option<Backup> {
    let Value::Array(parts) = answer else {
        return None;
    };
    let [records, usages] = parts.as_slice() else {
        return None;
    };
    Some(Backup {
        records: pairs(records)?,
        usages: pairs(usages)?,
    })
}

fn pairs(value: &Value) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let Value::Array(values) = value else {
        return None;
    };
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => Some(bytes.clone()),
        _ => None,
    };
    let pair = |pair: &[Value]| Some((text(&pair[0])?, text(pair.get(1)?)?));
    values.chunks(2).map(pair).collect()
}

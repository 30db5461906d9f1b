//! `api-gateway demo`: the whole gateway in front of simulated providers, to see it work in seconds.
//!
//! Three providers on loopback: one fails every other time, one is quick but has a tiny quota, one is
//! slow and always there. The configuration is a real file that can be edited while it runs.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::server::{self, Settings, Stopped};
use crate::simulator::{Act, Answer, Behavior, Simulator};

/// The demo's traffic: a request in this time.
const TRAFFIC: Duration = Duration::from_secs(1);

/// Runs the demo in `folder` until told to stop. `say` prints its introduction.
///
/// # Errors
/// The port is taken, or the folder cannot be written.
pub async fn run(folder: &Path, port: u16, traffic: bool, say: fn(&str)) -> Result<(), Stopped> {
    let words = "Hello! I am simulated: no key, no network, no cost. ";
    let answer = |name: &str| Answer::text(format!("{words}This came from the provider `{name}`."));
    let flaky = Behavior::new(Act::status(500))
        .every(2, answer("flaky"))
        .named("flaky");
    let quick = Behavior::new(answer("quick")).named("quick");
    let slow = answer("slow").drip(12, Duration::from_millis(120));
    let slow = Behavior::new(Act::from(slow).after(Duration::from_millis(400))).named("slow");

    let start = async {
        io::Result::Ok((
            Simulator::start(flaky).await?,
            Simulator::start(quick).await?,
            Simulator::start(slow).await?,
        ))
    };
    let (flaky, quick, slow) = start
        .await
        .context("cannot start the simulated providers")?;

    let config = folder.join("provider.json");
    let text = configuration(&flaky.endpoint(), &quick.endpoint(), &slow.endpoint());
    std::fs::write(&config, text).context("cannot write the demo's configuration")?;
    let settings = Settings {
        host: Some("127.0.0.1".to_owned()),
        port,
        config: config.clone(),
        strict: true,
        data_dir: folder.join("data"),
        workers: 1,
    };
    server::serve(settings, |addr| {
        say(&introduction(addr.port(), &config));
        if traffic {
            actix_rt::spawn(send_traffic(addr));
        }
    })
    .await
}

fn configuration(flaky: &str, quick: &str, slow: &str) -> String {
    format!(
        r#"// The demo's configuration. Edit and save it: the gateway follows within two seconds.
{{
  "_global": {{ "default_timeout": 20, "log_requests": true }},
  "gpt-4o": {{
    "providers": [
      // Fails every other time; not asked twice in a row, the next one is.
      {{ "name": "flaky", "endpoint": "{flaky}", "api_key": "demo", "model": "simulated",
        "priority": 1, "weight": 10, "retry": 0 }},
      // Quick, but only 5 requests a minute.
      {{ "name": "quick", "endpoint": "{quick}", "api_key": "demo", "model": "simulated",
        "priority": 1, "weight": 10,
        "rate_limit": {{ "requests_per_period": 5, "tokens_per_period": 100000, "period_cron": "* * * * *" }} }},
      // Slow, and always there when the others are not.
      {{ "name": "slow", "endpoint": "{slow}", "api_key": "demo", "model": "simulated", "priority": 2 }}
    ]
  }},
  "text-embedding-3-small": {{
    "providers": [ {{ "name": "quick", "endpoint": "{quick}", "api_key": "demo", "model": "simulated" }} ]
  }}
}}
"#
    )
}

fn introduction(port: u16, config: &Path) -> String {
    let base = format!("http://localhost:{port}");
    format!(
        r#"
api-gateway demo: three simulated providers behind {base}

  curl {base}/v1/chat/completions -H 'content-type: application/json' \
    -d '{{"model":"gpt-4o","messages":[{{"role":"user","content":"Hello"}}]}}'

  the same as a stream:
  curl -N {base}/v1/chat/completions -H 'content-type: application/json' \
    -d '{{"model":"gpt-4o","stream":true,"messages":[{{"role":"user","content":"Hello"}}]}}'

  who was asked, and what is left:   curl {base}/admin/stats
  the configuration, to edit live:   {}

Ctrl-C ends it and removes its files.
"#,
        config.display()
    )
}

/// Plain requests to ourselves, one a second; what comes of them is for the log to tell.
async fn send_traffic(addr: SocketAddr) {
    let body = json!({
        "model": "gpt-4o",
        "messages": [{ "role": "user", "content": "Hello from the demo's traffic" }],
    })
    .to_string();
    let length = body.len();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    loop {
        if let Err(error) = send(addr, request.as_bytes()).await {
            log::debug!("demo traffic: {error}");
        }
        tokio::time::sleep(TRAFFIC).await;
    }
}

/// One request, and its answer to the end.
async fn send(addr: SocketAddr, request: &[u8]) -> io::Result<()> {
    let mut connection = TcpStream::connect(addr).await?;
    connection.write_all(request).await?;
    tokio::io::copy(&mut connection, &mut tokio::io::sink()).await?;
    Ok(())
}

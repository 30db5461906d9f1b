//! Replicas that share quotas, against a real server.

use std::time::Duration;

use super::{
    Acked, Backup, Claim, Client, Error, GRACE, Kind, Settings, Told, WindowClaim, WindowTold,
};
use crate::clock::{UnixMillis, now};

mod connections;
mod deaths;
mod expiry;
mod grants;
mod losses;
mod server;

use server::Server;

const ACCOUNT: &str = "gpt-5/main account";
const DAY: i64 = 86_400_000;

/// Long enough that nobody dies by chance on a busy machine.
const LEASE: Duration = Duration::from_secs(60);

/// A gateway as Redis sees it.
struct Replica {
    client: Client,
    account: String,
    version: u64,
    acked: Option<Acked>,
}

impl Replica {
    /// One that does not wait for others after a loss, so that a server may be used as soon as it runs.
    async fn new(server: &Server, id: &str) -> Replica {
        Replica::with(server, id, LEASE, Duration::ZERO).await
    }

    async fn with(server: &Server, id: &str, lease: Duration, grace: Duration) -> Replica {
        let mut client = Client::new(settings(&server.url(), id, lease, grace)).unwrap();
        client.connect().await.unwrap();
        Replica {
            client,
            account: ACCOUNT.to_owned(),
            version: 0,
            acked: None,
        }
    }

    /// The next claim.
    fn claim(&mut self, windows: &[WindowClaim]) -> Claim {
        self.version += 1;
        Claim {
            account: self.account.clone(),
            life: 0,
            version: self.version,
            acked: self.acked,
            whole: false,
            windows: windows.to_vec(),
        }
    }

    async fn send(&mut self, claim: &Claim) -> Told {
        let mut told = self
            .client
            .exchange(std::slice::from_ref(claim))
            .await
            .unwrap();
        assert_eq!(told.len(), 1);
        let told = told.remove(0);
        assert_eq!(told.windows.len(), claim.windows.len());
        if !told.lost {
            self.acked = Some(told.acked);
        }
        told
    }

    /// Claims, and expects that it is taken.
    async fn say(&mut self, windows: &[WindowClaim]) -> Told {
        let claim = self.claim(windows);
        let told = self.send(&claim).await;
        assert!(!told.lost);
        assert_eq!(told.acked.version, claim.version);
        told
    }

    /// The same about one window.
    async fn tell(&mut self, window: WindowClaim) -> WindowTold {
        self.say(&[window]).await.windows.remove(0)
    }

    /// Claims everything again.
    async fn say_whole(&mut self, windows: &[WindowClaim]) -> Told {
        let mut claim = self.claim(windows);
        claim.whole = true;
        self.send(&claim).await
    }
}

fn settings(url: &str, id: &str, lease: Duration, grace: Duration) -> Settings {
    Settings {
        url: url.to_owned(),
        ca: None,
        prefix: "gateway".to_owned(),
        replica: id.to_owned(),
        lease,
        grace,
    }
}

/// A window of requests that claims nothing yet.
fn window(kind: Kind, requests: u64) -> WindowClaim {
    WindowClaim {
        id: "requests".to_owned(),
        kind,
        caps: [Some(requests), None, None, None],
        used: Vec::new(),
        held: [0; 4],
        wish: [0; 4],
        in_flight: 0,
    }
}

/// A period that has not just begun and is not about to end.
fn today() -> Kind {
    let start = UnixMillis((now().0 / DAY - 1) * DAY);
    Kind::Fixed {
        start,
        end: UnixMillis(start.0 + 3 * DAY),
    }
}

impl WindowClaim {
    /// Has used so many requests in its period.
    fn used(self, requests: u64) -> WindowClaim {
        let (Kind::Fixed { start, .. } | Kind::Forever { start }) = self.kind else {
            panic!("usage of a window in slots needs a start");
        };
        self.used_at(start, requests)
    }

    fn used_at(mut self, start: UnixMillis, requests: u64) -> WindowClaim {
        self.used.push((start, of_requests(requests)));
        self
    }

    fn held(mut self, requests: u64) -> WindowClaim {
        self.held = of_requests(requests);
        self.in_flight = requests;
        self
    }

    fn wish(mut self, requests: u64) -> WindowClaim {
        self.wish = of_requests(requests);
        self
    }
}

impl WindowTold {
    /// Requests granted, and used, held and ready to be used by others.
    fn requests(&self) -> (u64, u64, u64, u64) {
        let WindowTold {
            granted,
            others_used,
            others_held,
            others_credit,
            ..
        } = self;
        (granted[0], others_used[0], others_held[0], others_credit[0])
    }
}

fn of_requests(requests: u64) -> [u64; 4] {
    [requests, 0, 0, 0]
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

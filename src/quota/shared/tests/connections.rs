//! Reaching the server, and what is said when it cannot be.

use std::time::Instant;

use super::*;

#[tokio::test]
async fn flushed_scripts_are_loaded_again() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    let day = || window(today(), 10).wish(1);
    a.tell(day()).await;
    let _: () = server.ask(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(a.tell(day()).await.requests(), (1, 0, 0, 0));
    let _: () = server.ask(&["SCRIPT", "FLUSH"]).await;
    assert!(a.client.backup(&[ACCOUNT]).await.is_ok());
}

#[tokio::test]
async fn users_passwords_databases_and_sockets_are_understood() {
    let socket = tempfile::tempdir().unwrap();
    let socket = socket.path().join("redis.sock");
    let path = socket.to_str().unwrap();
    let server = Server::with(&[
        "--requirepass",
        "for all",
        "--user",
        "gateway",
        "on",
        ">se#cret",
        "~*",
        "+@all",
        "--unixsocket",
        path,
    ]);
    for (url, database) in [
        (format!("redis://:for%20all@127.0.0.1:{}", server.port), 0),
        (
            format!("redis://gateway:se%23cret@127.0.0.1:{}/3", server.port),
            3,
        ),
        (
            format!("redis+unix://{path}?db=5&user=gateway&pass=se%23cret"),
            5,
        ),
    ] {
        let mut client = Client::new(settings(&url, "a", LEASE, GRACE)).unwrap();
        client.connect().await.unwrap();
        let claim = Claim {
            account: ACCOUNT.to_owned(),
            life: 0,
            version: 1,
            acked: None,
            whole: true,
            windows: vec![window(today(), 1)],
        };
        client.exchange(&[claim]).await.unwrap();
        let url = format!("redis://:for%20all@127.0.0.1:{}/{database}", server.port);
        let raw = redis::Client::open(url).unwrap();
        let mut raw = raw.get_multiplexed_async_connection().await.unwrap();
        let keys: i64 = redis::cmd("DBSIZE").query_async(&mut raw).await.unwrap();
        assert_eq!(keys, 1, "database {database}");
    }
}

#[tokio::test]
async fn no_error_shows_a_password() {
    let server = Server::with(&["--requirepass", "right"]);
    let port = server.port;
    for url in [
        format!("redis://someone:hunter2@127.0.0.1:{port}"),
        format!("redis://:hunter2@127.0.0.1:{port}/1"),
        "redis://someone:hunter2@127.0.0.1:1".to_owned(),
        "redis+unix:///nowhere.sock?user=someone&pass=hunter2".to_owned(),
        "redis://someone:hunter2@".to_owned(),
        "redis://someone:hunter2@host:port".to_owned(),
        "redis://someone:hunter2@host/base".to_owned(),
        "redis://someone:hunter2@0.0.0.0".to_owned(),
        "rediss://someone:hunter2@host#insecure".to_owned(),
        "http://someone:hunter2@host".to_owned(),
        "someone:hunter2".to_owned(),
        format!("rediss://someone:hunter2@127.0.0.1:{port}"),
    ] {
        let error = match Client::new(settings(&url, "a", LEASE, GRACE)) {
            Ok(mut client) => {
                assert!(!client.address().contains("hunter2"));
                client.connect().await.unwrap_err()
            }
            Err(error) => error,
        };
        let texts = format!("{error} {error:?}");
        assert!(!texts.contains("hunter2"), "{url}: {texts}");
        assert!(!texts.contains("someone"), "{url}: {texts}");
    }
    let settings = settings(&server.url(), "a", LEASE, GRACE);
    let error = Client::new(settings).unwrap().connect().await.unwrap_err();
    assert!(error.to_string().contains("NOAUTH"), "{error}");
}

#[tokio::test]
async fn a_certificate_of_a_given_authority_is_trusted_and_no_other() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let _server = Server::with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &text(&cert),
        "--tls-key-file",
        &text(&key),
        "--tls-ca-cert-file",
        &text(&cert),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://localhost:{port}");
    let trusting = Settings {
        ca: Some(made.cert.pem().into_bytes()),
        ..settings(&url, "a", LEASE, GRACE)
    };
    Client::new(trusting.clone())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut stranger = Client::new(settings(&url, "a", LEASE, GRACE)).unwrap();
    assert!(stranger.connect().await.is_err());
    let garbage = Settings {
        ca: Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec()),
        ..trusting
    };
    assert!(matches!(Client::new(garbage), Err(Error::Settings(_))));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    a.tell(window(today(), 10)).await;
    let mut raw = server.raw().await;
    let _: () = redis::cmd("CLIENT")
        .arg(&["PAUSE", "800", "ALL"])
        .query_async(&mut raw)
        .await
        .unwrap();
    let claim = a.claim(&[window(today(), 10).used(2)]);
    let began = Instant::now();
    let error = a
        .client
        .exchange(std::slice::from_ref(&claim))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_millis(700));
    // Without a connection it does not wait at all.
    let again = a.client.exchange(std::slice::from_ref(&claim)).await;
    assert!(again.unwrap_err().to_string().ends_with("not connected"));
    pass(Duration::from_millis(800)).await;
    a.client.connect().await.unwrap();
    a.send(&claim).await;
    let mut b = Replica::new(&server, "b").await;
    assert_eq!(b.tell(window(today(), 10)).await.requests(), (0, 2, 0, 0));
}

/// Prints what an exchange costs the server; what it may cost at most is far above that.
#[tokio::test]
async fn an_exchange_is_cheap() {
    let server = Server::start();
    let mut replicas = Vec::new();
    for id in ["a", "b", "c"] {
        replicas.push(Replica::new(&server, id).await);
    }
    let rolling = |every_ms, slot_ms| Kind::Rolling { every_ms, slot_ms };
    let kinds = [today(), rolling(60_000, 1_000), rolling(1_000, 100)];
    let Kind::Fixed { start, .. } = kinds[0] else {
        panic!("a day is fixed");
    };
    let claims = |time: i64, used: u64| -> Vec<WindowClaim> {
        let starts = [start.0, time / 1_000 * 1_000, time / 100 * 100];
        let windows = kinds.iter().zip(starts).enumerate();
        windows
            .map(|(n, (kind, start))| WindowClaim {
                id: format!("{n}"),
                caps: [Some(1_000_000), Some(1_000_000), None, None],
                held: [3, 4_000, 0, 0],
                wish: [20, 20_000, 0, 0],
                used: vec![(UnixMillis(start), [used, 100 * used, 80 * used, 20 * used])],
                ..window(*kind, 0)
            })
            .collect()
    };
    // Sixty slots are filled before it is measured.
    let present = now().0;
    for at in 0..60 {
        for replica in &mut replicas {
            replica.say(&claims(present - at * 1_000, 1)).await;
        }
    }
    let _: () = server.ask(&["CONFIG", "RESETSTAT"]).await;
    for used in 2..700 {
        for replica in &mut replicas {
            replica.say(&claims(now().0, used)).await;
        }
    }
    let stats: String = server.ask(&["INFO", "commandstats"]).await;
    let cost: f64 = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:"))
        .and_then(|line| line.split("usec_per_call=").nth(1)?.split(',').next())
        .unwrap()
        .parse()
        .unwrap();
    println!("an exchange of three windows by one of three replicas: {cost} us");
    assert!(cost < 1_000.0, "{cost} us");
}

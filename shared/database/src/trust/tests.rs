//! What is tried, and what comes of it through tunnels that work and that do not.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use commons::error::{Error, Kind};
use tunnel::Failure;

/// How a tunnel behaves.
enum Tunnel {
    /// Leads to a program that hears once, says this, and ends the connection.
    Says(&'static [u8]),
    /// The same, but the program resets the connection.
    SaysAndResets(&'static [u8]),
    /// Is never opened, for this reason.
    Fails(Failure),
    /// Is open, and nothing comes.
    Silent,
}

impl Engine for Tunnel {
    async fn carry(&self, local: &mut TcpStream, _: &Endpoint) -> Result<(), Failure> {
        match self {
            Self::Says(bytes) | Self::SaysAndResets(bytes) => {
                let _ = local.read(&mut [0; 1024]).await;
                let _ = local.write_all(bytes).await;
                match self {
                    Self::Says(_) => Ok(()),
                    _ => Err(Failure::Reset("connection reset".into())),
                }
            }
            Self::Fails(failure) => Err(failure.clone()),
            Self::Silent => std::future::pending().await,
        }
    }
}

async fn through(tunnel: Tunnel, protocol: Protocol, username: Option<&str>) -> Trust {
    let endpoint = Endpoint {
        namespace: "user-alice".into(),
        pod: "pg-0".into(),
        port: 5432,
    };
    try_all(&tunnel, &endpoint, protocol, (username, None)).await
}

const SCRAM: &[u8] = b"R\x00\x00\x00\x17\x00\x00\x00\nSCRAM-SHA-256\x00\x00";

#[tokio::test]
async fn each_user_is_tried_and_named_once() {
    for (username, tried) in [
        (Some("shop"), &["shop", "postgres"][..]),
        (Some("postgres"), &["postgres"]),
        (None, &["postgres"]),
    ] {
        let trust = through(Tunnel::Says(SCRAM), Protocol::Postgres, username).await;
        let tried = tried.iter().map(|user| (*user).to_owned()).collect();
        let not_known = Vec::new();
        assert_eq!(trust, Trust::Asks { tried, not_known });
    }
    let trust = through(Tunnel::SaysAndResets(SCRAM), Protocol::Postgres, None).await;
    assert!(matches!(trust, Trust::Asks { .. }), "{trust:?}");
}

#[test]
fn every_database_that_is_known_is_tried_once() {
    let tried = |username, dbname| -> Vec<(&str, &str)> {
        let attempts = attempts(Protocol::Postgres, username, dbname);
        let pair = |attempt| match attempt {
            LoginAttempt::Postgres { user, database } => (user, database),
            attempt => panic!("{attempt:?}"),
        };
        attempts.into_iter().map(pair).collect()
    };
    let administrator = ("postgres", "postgres");
    assert_eq!(tried(None, None), [administrator]);
    assert_eq!(
        tried(Some("shop"), Some("shop")),
        [
            ("shop", "shop"),
            ("shop", "postgres"),
            administrator,
            ("postgres", "shop")
        ]
    );
    assert_eq!(
        tried(Some("shop"), Some("stock")),
        [
            ("shop", "shop"),
            ("shop", "stock"),
            ("shop", "postgres"),
            administrator,
            ("postgres", "stock")
        ]
    );
    assert_eq!(tried(Some("postgres"), Some("postgres")), [administrator]);
}

#[tokio::test]
async fn a_tunnel_that_fails_says_why() {
    let forbidden = Error::of(Kind::Forbidden, "you may not create pods/portforward");
    for (failure, phrase) in [
        (
            Failure::NothingListens("connection refused".into()),
            "nothing listens on port 5432 in pod `pg-0`",
        ),
        (
            Failure::Refused(forbidden),
            "you may not create pods/portforward",
        ),
        (
            Failure::Reset(String::new()),
            "it closed the connection without an answer",
        ),
    ] {
        for protocol in [Protocol::Postgres, Protocol::Redis, Protocol::Http] {
            match through(Tunnel::Fails(failure.clone()), protocol, None).await {
                Trust::NotKnown(why) => assert_eq!(why.to_string(), phrase),
                trust => panic!("{trust:?}"),
            }
        }
    }
}

#[tokio::test]
async fn what_does_not_answer_is_given_up() {
    let started = Instant::now();
    for protocol in [Protocol::Postgres, Protocol::Mysql] {
        let trust = through(Tunnel::Silent, protocol, Some("shop")).await;
        assert_eq!(trust, Trust::NotKnown(NotKnown::Slow));
    }
    assert!(started.elapsed() < 3 * PATIENCE);
    let trust = through(Tunnel::Silent, Protocol::Other, None).await;
    assert_eq!(trust, Trust::NotKnown(NotKnown::Protocol));
}

#[test]
fn of_several_answers_nothing_is_said_that_one_of_them_leaves_open() {
    let unheard = || Trust::NotKnown(NotKnown::Closed);
    let [shop, admin, nobody] = [Some("shop"), Some("postgres"), None];
    let asks = |tried: &[&str], not_known: &[&str]| Trust::Asks {
        tried: names(tried.iter().map(|user| Some(*user)).collect()),
        not_known: names(not_known.iter().map(|user| Some(*user)).collect()),
    };
    for (answers, said) in [
        (
            vec![
                (shop, Trust::asks(shop)),
                (shop, Trust::asks(shop)),
                (admin, Trust::asks(admin)),
            ],
            asks(&["shop", "postgres"], &[]),
        ),
        (
            vec![(shop, Trust::asks(shop)), (admin, unheard())],
            asks(&["shop"], &["postgres"]),
        ),
        (
            vec![
                (shop, Trust::asks(shop)),
                (shop, unheard()),
                (admin, Trust::asks(admin)),
            ],
            asks(&["postgres"], &["shop"]),
        ),
        (
            vec![(shop, Trust::asks(shop)), (shop, unheard())],
            unheard(),
        ),
        (
            vec![(nobody, Trust::asks(nobody)), (nobody, unheard())],
            unheard(),
        ),
        (
            vec![
                (shop, Trust::asks(shop)),
                (nobody, Trust::lets_in(nobody, false)),
                (admin, unheard()),
            ],
            Trust::lets_in(nobody, false),
        ),
        (
            vec![
                (nobody, Trust::lets_in(nobody, false)),
                (shop, Trust::lets_in(shop, false)),
            ],
            Trust::lets_in(shop, false),
        ),
        (
            vec![
                (shop, Trust::lets_in(shop, false)),
                (admin, Trust::lets_in(admin, true)),
            ],
            Trust::lets_in(admin, true),
        ),
    ] {
        assert_eq!(summary(answers.clone()), said, "{answers:?}");
    }
}

#[test]
fn what_a_server_says_cannot_mislead_a_terminal() {
    let said = NotKnown::Said(format!("\u{1b}[31m{}", "x".repeat(9000))).to_string();
    assert!(said.len() < 300 && !said.contains('\u{1b}'), "{said}");
}

//! Real local clients, and an engine that does what its endpoint's name says.

use std::cell::Cell;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;
use crate::Failure;

struct Played;

impl Engine for Played {
    async fn carry(&self, local: &mut TcpStream, to: &Endpoint) -> Result<(), Failure> {
        match to.pod.as_str() {
            "echo" => {
                let (mut reader, mut writer) = local.split();
                tokio::io::copy(&mut reader, &mut writer)
                    .await
                    .map(|_| ())
                    .map_err(|error| Failure::LocalGone(error.to_string()))
            }
            "says-goodbye" => {
                local
                    .write_all(b"goodbye")
                    .await
                    .map_err(|error| Failure::LocalGone(error.to_string()))?;
                Ok(())
            }
            "dies-half-way" => {
                local
                    .write_all(b"half")
                    .await
                    .map_err(|error| Failure::LocalGone(error.to_string()))?;
                Err(Failure::Broken("cut".into()))
            }
            _ => Err(Failure::NothingListens(String::new())),
        }
    }
}

/// The pods that serve one connection after the other; the last one stays.
struct Pods {
    names: Vec<&'static str>,
    next: Cell<usize>,
    failed: RefCell<Vec<String>>,
}

impl Destination for Pods {
    async fn endpoint(&self) -> Result<Endpoint> {
        let at = self.next.get();
        self.next.set(at + 1);
        match self.names[at.min(self.names.len() - 1)] {
            "" => Err(Error::new("no pod is ready")),
            name => Ok(Endpoint {
                namespace: "ns".into(),
                pod: name.into(),
                port: 5432,
            }),
        }
    }

    async fn failed(&self, error: Error) -> Option<Error> {
        self.failed.borrow_mut().push(error.message().to_owned());
        None
    }
}

/// Serves connections to these pods while `clients` runs; afterwards what failed.
async fn with(names: &[&'static str], clients: impl AsyncFnOnce(u16, Rc<Notify>)) -> Vec<String> {
    let pods = Rc::new(Pods {
        names: names.to_vec(),
        next: Cell::default(),
        failed: RefCell::default(),
    });
    let bound = bind(WantedPort::Preferably(20_000)).expect("a port");
    let (port, closing) = (bound.port, Rc::new(Notify::new()));
    let serving = serve(
        bound,
        Admission::default(),
        pods.clone(),
        Rc::new(Played),
        |_| {},
        closing.notified(),
    );
    let clients = async {
        clients(port, closing.clone()).await;
        closing.notify_one();
    };
    let (served, ()) = tokio::join!(serving, clients);
    served.expect("it ends well");
    pods.failed.take()
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("a connection")
}

#[tokio::test]
async fn one_failure_does_not_end_the_others() {
    let failed = with(&["echo", "nobody", "", "echo"], async |port, _| {
        let mut first = connect(port).await;
        first.write_all(b"1").await.expect("sent");
        assert_eq!(first.read_u8().await.expect("an echo"), b'1');
        for _ in 0..2 {
            let mut failing = connect(port).await;
            let end = failing.read_u8().await.expect_err("nothing to read");
            assert_eq!(
                end.kind(),
                io::ErrorKind::ConnectionReset,
                "not a clean end"
            );
        }
        let mut last = TcpStream::connect(("::1", port))
            .await
            .expect("a connection");
        for client in [&mut first, &mut last] {
            client.write_all(b"2").await.expect("sent");
            assert_eq!(client.read_u8().await.expect("an echo"), b'2');
        }
    })
    .await;
    assert_eq!(
        failed,
        [
            "nothing listens on port 5432 in pod `nobody`",
            "no pod is ready"
        ]
    );
}

#[tokio::test]
async fn the_end_is_clean_or_a_reset() {
    with(&["says-goodbye", "dies-half-way"], async |port, _| {
        let mut client = connect(port).await;
        // What is never read must not turn the end into a reset.
        client.write_all(&[0; 1000]).await.expect("sent");
        sleep(Duration::from_millis(50)).await;
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.expect("a clean end");
        assert_eq!(all, b"goodbye");

        let mut client = connect(port).await;
        let end = client
            .read_to_end(&mut Vec::new())
            .await
            .expect_err("it was cut");
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    })
    .await;
}

#[tokio::test]
async fn when_closing_nothing_new_is_taken_and_open_connections_go_on() {
    with(&["echo"], async |port, closing| {
        let mut client = connect(port).await;
        client.write_all(b"1").await.expect("sent");
        assert_eq!(client.read_u8().await.expect("an echo"), b'1');
        closing.notify_one();
        sleep(Duration::from_millis(50)).await;
        let refused = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        client.write_all(b"2").await.expect("sent");
        assert_eq!(client.read_u8().await.expect("an echo"), b'2');
    })
    .await;
}

#[tokio::test]
async fn dropping_it_resets_what_is_open() {
    let bound = bind(WantedPort::Preferably(21_000)).expect("a port");
    let port = bound.port;
    let pods = Rc::new(Pods {
        names: vec!["echo"],
        next: Cell::default(),
        failed: RefCell::default(),
    });
    let mut client = connect(port).await;
    {
        let serving = serve(
            bound,
            Admission::default(),
            pods,
            Rc::new(Played),
            |_| {},
            std::future::pending(),
        );
        let talking = async {
            client.write_all(b"1").await.expect("sent");
            assert_eq!(client.read_u8().await.expect("an echo"), b'1');
        };
        tokio::select! {
            _ = serving => panic!("it goes on"),
            () = talking => {}
        }
    }
    assert_eq!(
        client.read_u8().await.expect_err("the end").kind(),
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(
        TcpStream::connect(("127.0.0.1", port))
            .await
            .expect_err("nobody listens")
            .kind(),
        io::ErrorKind::ConnectionRefused
    );
}

#[tokio::test]
async fn a_port_that_is_kept_serves_nobody_and_stays_ours() {
    let bound = bind(WantedPort::Preferably(22_000)).expect("a port");
    let addresses = bound.addresses();
    let pods = Rc::new(Pods {
        names: vec!["echo"],
        next: Cell::default(),
        failed: RefCell::default(),
    });
    let closing = Notify::new();
    let admission = Admission {
        keeps_port: true,
        ..Admission::default()
    };
    let serving = serve(
        bound,
        admission,
        pods.clone(),
        Rc::new(Played),
        |_| {},
        closing.notified(),
    );
    let client = async {
        let mut open = TcpStream::connect(addresses[0]).await.expect("open");
        open.write_all(b"1").await.expect("sent");
        assert_eq!(open.read_u8().await.expect("an echo"), b'1');
        closing.notify_one();
        sleep(Duration::from_millis(50)).await;
        for address in &addresses {
            // The reset may come before the connection has been looked at.
            let late = async { TcpStream::connect(address).await?.read_u8().await };
            let end = late.await.expect_err("it is turned away");
            assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
            assert!(std::net::TcpListener::bind(address).is_err());
        }
        open.write_all(b"2").await.expect("sent");
        assert_eq!(open.read_u8().await.expect("an echo"), b'2');
    };
    tokio::select! {
        _ = serving => panic!("it lets go"),
        () = client => {}
    }
    assert!(std::net::TcpListener::bind(addresses[0]).is_ok());
    assert_eq!(pods.next.get(), 1, "nobody else was led to a pod");
}

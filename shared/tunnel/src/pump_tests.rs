//! The pump between a real local socket and a node played by the test.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::Failure;
use super::pump::{HALF_CLOSE_GRACE, pump};

type Node = WebSocketStream<DuplexStream>;

/// A local client, the node, and the outcome of what is between them. `through` is how many bytes fit between.
async fn tunnel(
    through: usize,
    reachable: bool,
) -> (TcpStream, Node, JoinHandle<Result<(), Failure>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("an address"))
        .await
        .expect("a connection");
    let (mut local, _) = listener.accept().await.expect("a connection");
    let (near, far) = duplex(through);
    let socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    let mut node = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
    for channel in [0, 1] {
        node.send(Message::binary(vec![channel, 0x38, 0x15]))
            .await
            .expect("room");
    }
    let pumping = tokio::task::spawn_local(async move {
        pump(socket, &mut local, 5432, async || reachable).await
    });
    (client, node, pumping)
}

async fn data(node: &mut Node, bytes: &[u8]) {
    node.send(Message::Binary([&[0], bytes].concat().into()))
        .await
        .expect("room");
}

async fn error(node: &mut Node, text: &str) {
    node.send(Message::Binary([b"\x01", text.as_bytes()].concat().into()))
        .await
        .expect("room");
}

async fn next(node: &mut Node) -> Message {
    node.next().await.expect("a message").expect("no error")
}

#[tokio::test(flavor = "local")]
async fn carries_both_ways() {
    let (mut client, mut node, pumping) = tunnel(1 << 16, true).await;
    client.write_all(b"question").await.expect("sent");
    assert_eq!(
        next(&mut node).await,
        Message::Binary(Bytes::from_static(b"\0question"))
    );
    data(&mut node, b"answer").await;
    data(&mut node, b" goes on").await;
    node.close(None).await.expect("closed");
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.expect("a clean end");
    assert_eq!(all, b"answer goes on");
    assert!(pumping.await.expect("no panic").is_ok());
}

#[tokio::test(flavor = "local")]
async fn carries_a_lot_at_once_through_a_narrow_place() {
    let (mut client, mut node, pumping) = tunnel(1000, true).await;
    let much: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let expected = much.clone();
    let upload = much.clone();
    let (mut reader, mut writer) = client.split();
    let node = async {
        let (mut to, mut from) = (&mut node).split();
        let sending = async {
            for part in much.chunks(32 * 1024) {
                to.send(Message::Binary([&[0], part].concat().into()))
                    .await
                    .expect("room");
            }
        };
        let receiving = async {
            let mut all: Vec<u8> = Vec::new();
            while all.len() < expected.len() {
                if let Message::Binary(part) =
                    from.next().await.expect("a message").expect("no error")
                {
                    assert!(part.len() <= 64 * 1024 + 1);
                    all.extend_from_slice(&part[1..]);
                }
            }
            assert!(all == expected);
        };
        tokio::join!(sending, receiving);
        drop((to, from));
        node.close(None).await.expect("closed");
    };
    let mut all = Vec::new();
    let ((), sent, read) = tokio::join!(
        node,
        writer.write_all(&upload),
        reader.read_to_end(&mut all)
    );
    sent.expect("sent");
    read.expect("a clean end");
    assert!(all == expected);
    assert!(pumping.await.expect("no panic").is_ok());
}

#[tokio::test(flavor = "local")]
async fn the_answer_comes_after_a_half_close() {
    let (mut client, mut node, pumping) = tunnel(1 << 16, true).await;
    client.write_all(b"all I have").await.expect("sent");
    client.shutdown().await.expect("half closed");
    next(&mut node).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    data(&mut node, b"late answer").await;
    node.close(None).await.expect("closed");
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.expect("a clean end");
    assert_eq!(all, b"late answer");
    assert!(pumping.await.expect("no panic").is_ok());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_half_closed_connection_ends_when_nothing_comes() {
    let (mut client, _node, pumping) = tunnel(1 << 16, true).await;
    let start = tokio::time::Instant::now();
    client.shutdown().await.expect("half closed");
    assert!(pumping.await.expect("no panic").is_ok());
    assert!(start.elapsed() >= HALF_CLOSE_GRACE);
}

#[tokio::test(flavor = "local")]
async fn a_client_that_does_not_read_does_not_stop_what_it_sends() {
    let (mut client, mut node, _pumping) = tunnel(1 << 16, true).await;
    let mut sent = 0;
    // Until everything between is full.
    while tokio::time::timeout(
        Duration::from_millis(300),
        data(&mut node, &vec![7; 32 * 1024]),
    )
    .await
    .is_ok()
    {
        sent += 1;
        assert!(sent < 10_000, "nothing holds the node back");
    }
    client.write_all(b"still here").await.expect("sent");
    loop {
        if let Message::Binary(part) = next(&mut node).await {
            assert_eq!(&part[..], b"\0still here");
            break;
        }
    }
}

#[tokio::test(flavor = "local")]
async fn says_that_nothing_listens() {
    let (mut client, mut node, pumping) = tunnel(1 << 16, true).await;
    client.write_all(b"hello?").await.expect("sent");
    error(&mut node, "error forwarding port 5432 to pod 1, uid : ").await;
    error(&mut node, "connect: connection refused").await;
    node.close(None).await.expect("closed");
    assert!(matches!(
        pumping.await.expect("no panic"),
        Err(Failure::NothingListens(_))
    ));
}

#[tokio::test(flavor = "local")]
async fn an_error_is_told_though_the_tunnel_does_not_end() {
    let (_client, mut node, pumping) = tunnel(1 << 16, true).await;
    error(&mut node, "network namespace for sandbox \"1\" is closed").await;
    assert!(matches!(
        pumping.await.expect("no panic"),
        Err(Failure::PodGone(_))
    ));
}

#[tokio::test(flavor = "local")]
async fn the_hasty_end_of_a_client_is_no_failure() {
    let (mut client, mut node, pumping) = tunnel(1 << 16, true).await;
    client.shutdown().await.expect("half closed");
    tokio::time::sleep(Duration::from_millis(100)).await;
    error(&mut node, "read: connection reset by peer").await;
    node.close(None).await.expect("closed");
    assert!(pumping.await.expect("no panic").is_ok());

    let (_client, mut node, pumping) = tunnel(1 << 16, true).await;
    error(&mut node, "read: connection reset by peer").await;
    node.close(None).await.expect("closed");
    assert!(
        matches!(pumping.await.expect("no panic"), Err(Failure::Reset(_))),
        "the client was still there"
    );
}

#[tokio::test(flavor = "local")]
async fn a_client_that_resets_ends_the_tunnel() {
    let (client, mut node, pumping) = tunnel(1 << 16, true).await;
    client.set_zero_linger().expect("set");
    drop(client);
    assert!(matches!(
        pumping.await.expect("no panic"),
        Err(Failure::LocalGone(_))
    ));
    assert!(matches!(next(&mut node).await, Message::Close(_)));
}

#[tokio::test(flavor = "local")]
async fn a_tunnel_that_is_cut_is_a_failure() {
    let (_client, node, pumping) = tunnel(1 << 16, true).await;
    drop(node);
    assert!(matches!(
        pumping.await.expect("no panic"),
        Err(Failure::Broken(_))
    ));

    let (_client, mut node, pumping) = tunnel(1 << 16, true).await;
    let frame = CloseFrame {
        code: CloseCode::Error,
        reason: "going\u{1b}[31m down".into(),
    };
    node.close(Some(frame)).await.expect("closed");
    let Err(Failure::Broken(why)) = pumping.await.expect("no panic") else {
        panic!("another outcome")
    };
    assert_eq!(why, "it was closed with code 1011: going[31m down");
}

#[tokio::test(flavor = "local")]
async fn refuses_what_no_node_sends() {
    for hostile in [
        Message::text("HTTP/1.1 200 OK"),
        Message::binary(vec![7, 1, 2, 3]),
    ] {
        let (_client, mut node, pumping) = tunnel(1 << 16, true).await;
        node.send(hostile).await.expect("room");
        assert!(matches!(
            pumping.await.expect("no panic"),
            Err(Failure::Malformed(_))
        ));
    }
    let (_client, mut node, pumping) = tunnel(1 << 16, true).await;
    node.get_mut().write_all(&[0xff; 64]).await.expect("room");
    assert!(matches!(
        pumping.await.expect("no panic"),
        Err(Failure::Malformed(_))
    ));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn pings_and_notices_silence() {
    let (_client, mut node, mut pumping) = tunnel(1 << 16, true).await;
    // Reading answers the pings.
    for _ in 0..10 {
        assert_eq!(
            next(&mut node).await,
            Message::Ping(Bytes::from_static(&[0; 8]))
        );
    }
    assert!(!pumping.is_finished());
    // Now nobody reads.
    let start = tokio::time::Instant::now();
    let outcome = (&mut pumping).await.expect("no panic");
    let Err(Failure::Broken(why)) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(why, "no answer for 30 s");
    assert!(
        start.elapsed() < Duration::from_secs(45),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_pod_that_reads_nothing_for_long_is_given_time_while_the_server_is_there() {
    for there in [true, false] {
        let (mut client, _node, pumping) = tunnel(100, there).await;
        client.write_all(&[1; 10_000]).await.expect("sent");
        tokio::time::sleep(Duration::from_mins(5)).await;
        assert_eq!(pumping.is_finished(), !there);
    }
}

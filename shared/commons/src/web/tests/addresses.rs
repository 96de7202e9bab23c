//! Which of several addresses is asked, and when.

use super::*;

fn sockets(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn families_take_turns() {
    let sorted = connect::alternating(sockets(&["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1"]));
    assert_eq!(
        sorted,
        sockets(&["[::1]:1", "1.0.0.1:1", "[::2]:1", "[::3]:1"])
    );
    let sorted = connect::alternating(sockets(&["1.0.0.1:1", "1.0.0.2:1", "[::1]:1"]));
    assert_eq!(sorted, sockets(&["1.0.0.1:1", "[::1]:1", "1.0.0.2:1"]));
    assert_eq!(connect::alternating(Vec::new()), []);
}

#[tokio::test]
async fn the_next_address_is_tried_at_once_when_one_refuses() {
    let (gone, refusing) = listen().await;
    drop(gone);
    let (_listener, address) = listen().await;
    let begun = Instant::now();
    let (_, reached) = connect::dial(vec![refusing, address], begun + LIMIT)
        .await
        .unwrap();
    assert_eq!(reached, address);
    assert!(
        begun.elapsed() < Duration::from_millis(200),
        "{:?}",
        begun.elapsed()
    );
}

/// A full backlog is an address that does not answer, anywhere and without a network.
async fn silent() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        queued.push(stream);
    }
    (listener, queued, address)
}

#[tokio::test]
async fn the_next_address_is_tried_beside_one_that_is_silent() {
    let (_silence, _queued, silent) = silent().await;
    let (_listener, address) = listen().await;
    let begun = Instant::now();
    let (_, reached) = connect::dial(vec![silent, address], begun + LIMIT)
        .await
        .unwrap();
    assert_eq!(reached, address);
    assert!(begun.elapsed() >= Duration::from_millis(200));

    let trouble = connect::dial(vec![silent], Instant::now() + Duration::from_millis(100)).await;
    let trouble = trouble.err().unwrap();
    assert!(
        matches!(trouble, HttpFailure::Connect { address, why: Unconnected::Timeout } if address == silent),
        "{trouble:?}"
    );
}

// TLS.

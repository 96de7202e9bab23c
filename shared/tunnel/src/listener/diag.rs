//! Probing the kernel about one connection (Linux, `sock_diag(7)`).
//!
//! /proc/net/tcp tells the same, but is made anew by walking the kernel's whole table for every reader: several milliseconds
//! for each connection on a large machine. This takes microseconds.

use std::net::{IpAddr, SocketAddr};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const ENOENT: i32 = 2;
const TCP: u8 = 6;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A request with its header: `struct nlmsghdr` and `struct inet_diag_req_v2`.
const REQUEST: usize = 16 + 56;
/// Where an answer has the owner and the inode: behind the header, in `struct inet_diag_msg`.
const UID: usize = 16 + 64;
const INODE: usize = UID + 4;

/// What the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Whose it is; inode 0 if no process has it open any more.
    Socket { uid: u32, inode: u32 },
    /// There is no such connection, or this kernel has no list of TCP connections.
    None,
}

/// Looks for the TCP socket with these addresses; nothing where this cannot be asked.
pub(super) fn socket(local: SocketAddr, remote: SocketAddr) -> Option<Answer> {
    let netlink = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )
    .ok()?;
    rustix::net::send(&netlink, &request(local, remote)?, SendFlags::empty()).ok()?;
    let mut answer = [0; 512];
    // The kernel has answered before it returned from sending.
    let (_, length) = rustix::net::recv(&netlink, &mut answer, RecvFlags::DONTWAIT).ok()?;
    read(answer.get(..length)?)
}

fn request(local: SocketAddr, remote: SocketAddr) -> Option<[u8; REQUEST]> {
    let mut request = Vec::with_capacity(REQUEST);
    request.extend(u32::try_from(REQUEST).ok()?.to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    request.extend([0; 8]); // number and sender
    let (family, local_ip, remote_ip) = match (local.ip(), remote.ip()) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            (AF_INET, pad(local.octets()), pad(remote.octets()))
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => (AF_INET6, local.octets(), remote.octets()),
        _ => return None,
    };
    request.extend([family, TCP, 0, 0]);
    request.extend(u32::MAX.to_ne_bytes()); // in whatever state
    request.extend(local.port().to_be_bytes());
    request.extend(remote.port().to_be_bytes());
    request.extend(local_ip);
    request.extend(remote_ip);
    request.extend([0; 4]); // on whatever interface
    request.extend([0xff; 8]); // without a cookie from before
    request.try_into().ok()
}

fn pad(octets: [u8; 4]) -> [u8; 16] {
    let mut padded = [0; 16];
    padded[..4].copy_from_slice(&octets);
    padded
}

fn read(answer: &[u8]) -> Option<Answer> {
    let word = |at: usize| answer.get(at..at + 4)?.try_into().ok();
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    match kind {
        SOCK_DIAG_BY_FAMILY => Some(Answer::Socket {
            uid: u32::from_ne_bytes(word(UID)?),
            inode: u32::from_ne_bytes(word(INODE)?),
        }),
        NLMSG_ERROR if i32::from_ne_bytes(word(16)?) == -ENOENT => Some(Answer::None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn finds_a_connection_and_only_that() {
        for ip in ["127.0.0.1", "::1"] {
            let Ok(listener) = TcpListener::bind((ip, 0)) else {
                continue;
            };
            let address = listener.local_addr().expect("an address");
            let client = TcpStream::connect(address).expect("a connection");
            let theirs = client.local_addr().expect("an address");
            let Some(answer) = socket(theirs, address) else {
                return;
            };
            let Answer::Socket { uid, inode } = answer else {
                panic!("{answer:?}")
            };
            assert_eq!(uid, rustix::process::geteuid().as_raw());
            assert_ne!(inode, 0);
            assert_eq!(
                socket(SocketAddr::new(theirs.ip(), 1), address),
                Some(Answer::None)
            );
            drop(client);
            assert!(matches!(
                socket(theirs, address),
                Some(Answer::None | Answer::Socket { inode: 0, .. })
            ));
        }
    }

    #[test]
    fn reads_only_what_is_whole() {
        let mut answer = vec![0; 88];
        answer[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        assert!(read(&answer).is_some());
        for length in 0..88 {
            assert_eq!(read(&answer[..length]), None, "{length}");
        }
    }
}

//! Addresses where there is no API server, or none that behaves.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

use crate::http::Server;

/// A port on which nothing listens, and nothing else can begin to.
pub struct Closed {
    /// The address.
    pub address: SocketAddr,
    _reserved: OwnedFd,
}

/// Connections are refused.
pub fn closed() -> Closed {
    let reserved = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&reserved, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    Closed {
        address: getsockname(&reserved).unwrap().try_into().unwrap(),
        _reserved: reserved,
    }
}

/// Takes connections and requests and never answers.
pub fn silent() -> Server {
    Server::each_connection(|mut stream| {
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
    })
}

/// Closes every connection when the first word was said.
pub fn closing() -> Server {
    Server::each_connection(|mut stream| {
        let _ = stream.read(&mut [0; 16 * 1024]);
    })
}

/// The same, not in the orderly way.
pub fn resetting() -> Server {
    Server::each_connection(|mut stream| {
        let _ = stream.read(&mut [0; 16 * 1024]);
        let _ = set_socket_linger(&stream, Some(Duration::ZERO));
    })
}

/// Answers whatever comes with these bytes, and closes.
pub fn saying(bytes: &'static [u8]) -> Server {
    Server::each_connection(move |mut stream| {
        let mut buffer = [0; 16 * 1024];
        let _ = stream.read(&mut buffer);
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        // A reset would overtake the answer.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
    })
}

//! Choosing a port on this machine and listening on it.
//!
//! Clients that are told `localhost` try `::1` and `127.0.0.1` in an order of their own. If one of the two belonged to another
//! program, some would silently reach the wrong database (kubectl lets this happen), so a port is ours on both or not at all.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use super::sockets;
use commons::error::{Error, Hint, Result};

use super::ListenerRemedy;

/// How many ports above a taken one are tried before any free one is taken.
const NEARBY: u16 = 100;

/// The local port that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedPort {
    /// This one or none.
    Exactly(u16),
    /// This one, or another if it is taken.
    Preferably(u16),
}

/// Ports that are ours.
#[derive(Debug)]
pub struct Bound {
    /// One socket for `127.0.0.1` and, where this machine has IPv6, one for `::1`, on one port.
    pub(super) sockets: Vec<TcpListener>,
    /// The port.
    pub port: u16,
    /// Why it is not the preferred one.
    pub instead: Option<Taken>,
}

impl Bound {
    /// The addresses to connect to, as they are written.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets
            .iter()
            .filter_map(|socket| socket.local_addr().ok())
            .collect()
    }
}

/// A port that could not be had, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The port.
    pub port: u16,
    /// What is in the way: `` taken by `postgres` (process 123) ``.
    pub why: String,
}

/// Listens on both loopback addresses.
///
/// # Errors
/// The exact port cannot be had; the error names what holds it where this machine tells.
pub fn bind(wanted: WantedPort) -> Result<Bound> {
    let (WantedPort::Exactly(port) | WantedPort::Preferably(port)) = wanted;
    let cause = match on(port) {
        Ok(sockets) => {
            return Ok(Bound {
                sockets,
                port,
                instead: None,
            });
        }
        Err(cause) => cause,
    };
    let taken = explain(port, &cause);
    if let WantedPort::Exactly(_) = wanted {
        let error = Error::new(format!("cannot listen on port {port}"))
            .caused_by(format!("it is {}", taken.why));
        return Err(if cause.kind() == ErrorKind::AddrInUse {
            error.hint(Hint::with_remedy(
                ListenerRemedy::AnyPort,
                "let the port be chosen",
            ))
        } else {
            error
        });
    }
    let nearby = (1..=NEARBY)
        .filter_map(|step| port.checked_add(step))
        .find_map(|port| Some((port, on(port).ok()?)));
    match nearby.or_else(any) {
        Some((port, sockets)) => Ok(Bound {
            sockets,
            port,
            instead: Some(taken),
        }),
        None => Err(
            Error::new("no port on this machine is free on both 127.0.0.1 and ::1")
                .caused_by(cause.to_string()),
        ),
    }
}

/// Both sockets on one port, or only the IPv4 one where there is no IPv6.
fn on(port: u16) -> io::Result<Vec<TcpListener>> {
    let v4 = listen(IpAddr::V4(Ipv4Addr::LOCALHOST), port)?;
    let port = v4.local_addr()?.port();
    match listen(IpAddr::V6(Ipv6Addr::LOCALHOST), port) {
        Ok(v6) => Ok(vec![v4, v6]),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::AddrNotAvailable | ErrorKind::Unsupported
            ) || is_no_such_family(&error) =>
        {
            Ok(vec![v4])
        }
        Err(error) => Err(error),
    }
}

fn listen(ip: IpAddr, port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::new(ip, port);
    // On macOS a port on one address may be bound beside a program that holds it on all: that program must keep it.
    if cfg!(target_os = "macos") && port != 0 && std::net::TcpStream::connect(address).is_ok() {
        return Err(ErrorKind::AddrInUse.into());
    }
    let socket = TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// EAFNOSUPPORT has no [`ErrorKind`] of its own: a kernel without IPv6.
fn is_no_such_family(error: &io::Error) -> bool {
    let number = if cfg!(target_os = "linux") { 97 } else { 47 };
    cfg!(unix) && error.raw_os_error() == Some(number)
}

/// Any port that is free on both.
fn any() -> Option<(u16, Vec<TcpListener>)> {
    (0..20).find_map(|_| {
        let sockets = on(0).ok()?;
        Some((sockets.first()?.local_addr().ok()?.port(), sockets))
    })
}

fn explain(port: u16, cause: &io::Error) -> Taken {
    let why = match cause.kind() {
        ErrorKind::AddrInUse => match sockets::holder(port) {
            Some(holder) => format!("taken by {holder}"),
            None => "taken by another program".into(),
        },
        ErrorKind::PermissionDenied => "reserved for the administrator of this machine".into(),
        _ => format!("not to be had: {cause}"),
    };
    Taken { port, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_ours_on_both_addresses() {
        let (port, _) = any().expect("a port");
        let bound = bind(WantedPort::Exactly(port)).expect("it was free");
        assert_eq!((bound.port, &bound.instead), (port, &None));
        for address in bound.addresses() {
            assert!(address.ip().is_loopback() && address.port() == port);
            assert!(
                TcpListener::bind(address).is_err(),
                "{address} is still free"
            );
        }
    }

    #[test]
    fn a_port_that_is_half_taken_is_taken() {
        for ip in [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        ] {
            let Ok(held) = TcpListener::bind((ip, 0)) else {
                continue;
            };
            let port = held.local_addr().expect("an address").port();
            let error = bind(WantedPort::Exactly(port)).expect_err("it is taken");
            assert_eq!(error.message(), format!("cannot listen on port {port}"));
            if cfg!(target_os = "linux") {
                assert!(
                    error
                        .causes()
                        .concat()
                        .contains(&format!("(process {})", std::process::id())),
                    "{ip} {error:?}"
                );
            }
            let bound = bind(WantedPort::Preferably(port)).expect("another one");
            assert!(bound.port > port, "{} for {port}", bound.port);
            assert_eq!(bound.instead.expect("a reason").port, port);
        }
    }

    #[test]
    fn the_last_port_has_no_neighbours() {
        let _held = on(65535);
        assert!(bind(WantedPort::Preferably(65535)).is_ok());
    }
}

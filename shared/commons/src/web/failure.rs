//! Why there is no answer, told apart by the place where the way ended.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::Certificate;
use crate::printable;

/// Why a URL gave no answer. Displayed as a phrase about the server: `it closed the connection without an answer`.
#[derive(Clone, Debug)]
pub enum HttpFailure {
    /// The name has no address.
    Name {
        /// The name that was looked up: the URL's, or the proxy's.
        host: String,
        /// What the lookup said.
        why: Lookup,
    },
    /// Its addresses are this machine's, its link's or a cloud's metadata, and it was not asked.
    Local {
        /// The URL's host.
        host: String,
        /// One of them, where the name was resolved here.
        address: Option<IpAddr>,
    },
    /// No address of the name could be connected to.
    Connect {
        /// The address whose failure tells most.
        address: SocketAddr,
        /// How it failed.
        why: Unconnected,
    },
    /// A proxy that the environment names did not let the request through.
    Proxy {
        /// The proxy as `scheme://host:port`.
        proxy: String,
        /// What went wrong, as a phrase.
        why: String,
    },
    /// There is no secure connection.
    Tls {
        /// What is wrong.
        why: TlsFailure,
        /// The certificate that was shown, if it came to that.
        certificate: Option<Box<Certificate>>,
    },
    /// Connected, but no answer before the time was up.
    Timeout,
    /// The connection was closed or reset in place of an answer.
    Closed,
    /// What came is not HTTP, or the request cannot be made. The text is a phrase.
    Protocol(String),
}

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// DNS says that there is no such name, or that it has no address.
    NoSuchName,
    /// DNS could not say: no server answered (in time), or it failed. The text is the system's.
    NoAnswer(String),
}

/// Why a connection to an address failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unconnected {
    /// Nothing listens there.
    Refused,
    /// No answer before the time was up.
    Timeout,
    /// There is no way to it from this network.
    Unreachable,
    /// In the system's words.
    Other(String),
}

/// Why a server is not who it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// The certificate is for other names.
    NotForThisName,
    /// The certificate is signed by nobody whom this machine trusts.
    UnknownIssuer,
    /// The certificate's time is over.
    Expired,
    /// The certificate's time has not come.
    NotYetValid,
    /// There was no agreement on how to speak, or something else, as a phrase.
    Handshake(String),
}

impl Lookup {
    /// What the system's resolver means. The texts are those of `gai_strerror` in glibc, musl and Darwin.
    pub(super) fn from(error: &io::Error) -> Self {
        let text = error.to_string();
        let failed = [
            "Temporary failure",
            "Try again",
            "Non-recoverable",
            "Unrecoverable",
            "timed out",
        ];
        if failed.iter().any(|words| text.contains(words)) {
            Self::NoAnswer(printable::short(&text, 200))
        } else {
            Self::NoSuchName
        }
    }
}

impl Unconnected {
    pub(super) fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => Self::Unreachable,
            _ => Self::Other(printable::short(&error.to_string(), 200)),
        }
    }

    /// How much it tells: that nothing listens is an answer, that there is no way may be this machine's fault alone.
    pub(super) fn tells(&self) -> u8 {
        match self {
            Self::Refused => 3,
            Self::Timeout => 2,
            Self::Other(_) => 1,
            Self::Unreachable => 0,
        }
    }
}

impl fmt::Display for HttpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { host, why } => {
                let host = printable::line(host);
                match why {
                    Lookup::NoSuchName => write!(f, "DNS knows no address for {host}"),
                    Lookup::NoAnswer(text) => write!(f, "DNS gave no answer about {host} ({text})"),
                }
            }
            Self::Local { host, address } => {
                let host = printable::line(host);
                match address.filter(|address| address.to_string() != host) {
                    Some(address) => write!(f, "{host} leads to {address}, which is")?,
                    None => write!(f, "{host} is")?,
                }
                f.write_str(
                    " this machine or next to it, and is not asked: the cluster is elsewhere",
                )
            }
            Self::Connect { address, why } => match why {
                Unconnected::Refused => {
                    write!(f, "nothing listens at {address} (connection refused)")
                }
                Unconnected::Timeout => write!(f, "{address} did not answer in time"),
                Unconnected::Unreachable => {
                    write!(f, "there is no way to {address} from this network")
                }
                Unconnected::Other(text) => write!(f, "cannot connect to {address} ({text})"),
            },
            Self::Proxy { proxy, why } => write!(f, "the proxy {} {why}", printable::line(proxy)),
            Self::Tls { why, .. } => why.fmt(f),
            Self::Timeout => f.write_str("it did not answer in time"),
            Self::Closed => f.write_str("it closed the connection without an answer"),
            Self::Protocol(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for HttpFailure {}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotForThisName => "its certificate is for another host name",
            Self::UnknownIssuer => "its certificate is signed by an unknown authority",
            Self::Expired => "its certificate has expired",
            Self::NotYetValid => "its certificate is not valid yet",
            Self::Handshake(text) => text,
        })
    }
}

//! The kernel's list of TCP sockets, where it has one to read (Linux).
//!
//! It tells who holds a port, and whose connection it is that came in: a port on 127.0.0.1 is open to everybody with an
//! account on the machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The state of a socket that waits for connections, as the kernel numbers it.
const LISTENING: u8 = 0x0a;

/// One socket of the kernel's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    state: u8,
    /// Whose it is.
    pub(super) uid: u32,
    /// By what a process's open files name it; 0 when no process has it open any more.
    inode: u64,
}

/// The whole list; nothing where there is none.
pub(super) fn all() -> Option<Vec<Socket>> {
    let mut sockets = read(Path::new("/proc/net/tcp"))?;
    sockets.extend(read(Path::new("/proc/net/tcp6")).unwrap_or_default());
    Some(sockets)
}

fn read(path: &Path) -> Option<Vec<Socket>> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.lines().filter_map(parse).collect())
}

/// One line of /proc/net/tcp or tcp6 (proc(5)); nothing for the heading.
fn parse(line: &str) -> Option<Socket> {
    let fields: Vec<&str> = line.split_whitespace().take(10).collect();
    Some(Socket {
        local: address(fields.get(1)?)?,
        remote: address(fields.get(2)?)?,
        state: u8::from_str_radix(fields.get(3)?, 16).ok()?,
        uid: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// `0100007F:1538`: groups of four bytes in the machine's order, the port in the order people write. IPv4 in an IPv6 socket
/// (Java opens such) becomes plain IPv4.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        Some(
            u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16)
                .ok()?
                .to_ne_bytes(),
        )
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Who holds `port` on this machine's loopback, in words: `` `postgres` (process 123) ``.
pub(super) fn holder(port: u16) -> Option<String> {
    let sockets = all()?;
    let reaches_loopback = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    // Somebody else may hold it on one address and a stranger on another; the first is as good a reason as any.
    let socket = sockets.iter().find(|socket| {
        socket.state == LISTENING
            && socket.local.port() == port
            && reaches_loopback(socket.local.ip())
    })?;
    Some(match process(socket.inode) {
        Some((pid, name)) if name.is_empty() => format!("process {pid}"),
        Some((pid, name)) => format!("`{name}` (process {pid})"),
        None => match others_of_us(socket.uid)[..] {
            [pid] => format!(
                "a process of {}, it seems `{}` (process {pid})",
                user(socket.uid),
                commons::printable::short(&program(pid), 40)
            ),
            _ => format!("a process of {}", user(socket.uid)),
        },
    })
}

/// A user's other processes of this program. They hide their open files, as this one does, so that is all there is to go by.
fn others_of_us(uid: u32) -> Vec<u32> {
    let own = std::process::id();
    let name = program(own);
    pids()
        .filter(|pid| *pid != own && runs_as(*pid) == Some(uid) && program(*pid) == name)
        .collect()
}

/// The user that a process runs as.
fn runs_as(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The processes of this machine, as far as one may see them.
fn pids() -> impl Iterator<Item = u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The process that has this socket open, and its name; nothing for those whose open files we may not see.
fn process(inode: u64) -> Option<(u32, String)> {
    let target = format!("socket:[{inode}]");
    let has_it_open = |pid: &u32| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        files
            .filter_map(|file| std::fs::read_link(file.path()).ok())
            .any(|link| link.as_os_str() == target.as_str())
    };
    let pid = pids().find(has_it_open)?;
    Some((pid, commons::printable::short(&program(pid), 40)))
}

/// What a process is called. The kernel keeps 15 bytes of it; its command line has the rest.
fn program(pid: u32) -> String {
    let read =
        |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let name = read("comm").trim_end().to_owned();
    let command = read("cmdline");
    let called = command
        .split('\0')
        .next()
        .and_then(|path| path.rsplit('/').next());
    match called {
        Some(whole) if name.len() == 15 && whole.starts_with(&name) => whole.to_owned(),
        _ => name,
    }
}

/// A user in words.
pub(super) fn user(uid: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| commons::printable::short(name, 40))
    });
    match named {
        Some(name) => format!("user `{name}`"),
        None => format!("user {uid}"),
    }
}

/// Whose connection has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Of the user with this number.
    User(u32),
    /// Of nobody: it was closed already.
    Gone,
    /// This machine does not tell.
    Unknown,
}

/// Whose the other end of a connection within this machine is: `local` is our end, `remote` theirs.
pub(super) fn caller(local: SocketAddr, remote: SocketAddr) -> Caller {
    let canonical =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (local, remote) = (canonical(local), canonical(remote));
    asked(local, remote)
        .or_else(|| listed(&all()?, local, remote))
        .unwrap_or(Caller::Unknown)
}

/// By asking for this connection.
#[cfg(target_os = "linux")]
fn asked(local: SocketAddr, remote: SocketAddr) -> Option<Caller> {
    use super::diag::{self, Answer};
    match diag::socket(remote, local)? {
        // The kernel forgets whose a socket was once no process has it.
        Answer::Socket { inode: 0, .. } => Some(Caller::Gone),
        Answer::Socket { uid, .. } => Some(Caller::User(uid)),
        // Our own end is there: if even that is not known, nothing is.
        Answer::None => {
            let ours = diag::socket(local, remote)?;
            matches!(ours, Answer::Socket { .. }).then_some(Caller::Gone)
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn asked(_: SocketAddr, _: SocketAddr) -> Option<Caller> {
    None
}

/// By looking through the list.
fn listed(sockets: &[Socket], local: SocketAddr, remote: SocketAddr) -> Option<Caller> {
    let between = |ours: SocketAddr, theirs: SocketAddr| {
        sockets
            .iter()
            .find(move |socket| socket.local == ours && socket.remote == theirs)
    };
    match between(remote, local) {
        Some(socket) if socket.inode == 0 => Some(Caller::Gone),
        Some(socket) => Some(Caller::User(socket.uid)),
        None => between(local, remote).map(|_| Caller::Gone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn reads_the_kernels_lines() {
        // Bytes in the order of a little-endian machine, as nearly all are.
        if cfg!(target_endian = "big") {
            return;
        }
        let v4 = parse("   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0000000000000000 100 0 0 10 0").expect("a socket");
        assert_eq!(
            v4,
            Socket {
                local: "127.0.0.1:5432".parse().expect("an address"),
                remote: "0.0.0.0:0".parse().expect("an address"),
                state: LISTENING,
                uid: 1000,
                inode: 12345
            }
        );
        let v6 = parse("   1: 00000000000000000000000001000000:1538 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 9 1").expect("a socket");
        assert_eq!(v6.local, "[::1]:5432".parse().expect("an address"));
        let mapped = parse("   1: 0000000000000000FFFF00000100007F:C001 0000000000000000FFFF00000100007F:1538 01 0:0 0:0 0 7 0 9 1").expect("a socket");
        assert_eq!(
            (mapped.local, mapped.remote),
            (
                "127.0.0.1:49153".parse().expect("an address"),
                "127.0.0.1:5432".parse().expect("an address")
            )
        );
        for odd in [
            "",
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            "0: é:1 é:2 0A 0 0 0 1 0 1",
            "0: 0100007F:15381538 x",
        ] {
            assert_eq!(parse(odd), None, "{odd}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn finds_itself() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let held = holder(address.port()).expect("a holder");
        assert!(
            held.contains(&format!("process {}", std::process::id())),
            "{held}"
        );
        assert_eq!(holder(1), None);
        assert_eq!(
            runs_as(std::process::id()),
            Some(rustix::process::geteuid().as_raw())
        );

        let client = TcpStream::connect(address).expect("a connection");
        let (accepted, remote) = listener.accept().expect("a connection");
        let us = Caller::User(rustix::process::geteuid().as_raw());
        let list = || listed(&all().expect("a list"), address, remote);
        assert_eq!((caller(address, remote), list()), (us, Some(us)));
        drop(client);
        let gone = Caller::Gone;
        assert_eq!((caller(address, remote), list()), (gone, Some(gone)));
        drop(accepted);
        assert_eq!(listed(&[], address, remote), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn names_users() {
        assert_eq!(user(0), "user `root`");
        assert_eq!(user(3_999_999_999), "user 3999999999");
    }
}

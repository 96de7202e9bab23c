//! What stands between a client and the API server: proxies and a plain forward, which count what they carry.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// The name that only these proxies and variants with their own `/etc/hosts` know.
pub(super) const NAME: &str = "api.cluster.test";

/// What a relay speaks.
#[derive(Clone)]
enum Speaks {
    /// HTTP, perhaps only with this credential (base64 of `user:password`).
    Http(Option<&'static str>),
    Socks5,
    /// Nothing: whoever comes is connected with this address.
    Forward(SocketAddr),
}

/// Something that listens on the loopback and carries connections further.
pub(super) struct Relay {
    port: u16,
    served: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Relay {
    /// An HTTP proxy, for CONNECT and for plain requests.
    pub(super) fn http(api: SocketAddr) -> Self {
        Self::start(Speaks::Http(None), api)
    }

    /// An HTTP proxy that asks for `user:secret`.
    pub(super) fn http_with_password(api: SocketAddr) -> Self {
        Self::start(Speaks::Http(Some("dXNlcjpzZWNyZXQ=")), api)
    }

    /// A SOCKS5 proxy without authentication (RFC 1928).
    pub(super) fn socks5(api: SocketAddr) -> Self {
        Self::start(Speaks::Socks5, api)
    }

    /// The API server under another address.
    pub(super) fn forward(api: SocketAddr) -> Self {
        Self::start(Speaks::Forward(api), api)
    }

    fn start(speaks: Speaks, api: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Self {
            port: listener.local_addr().unwrap().port(),
            served: Arc::default(),
            over: Arc::default(),
        };
        let (count, over) = (relay.served.clone(), relay.over.clone());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (count, speaks) = (count.clone(), speaks.clone());
                thread::spawn(move || {
                    let _ = serve(&speaks, &client, api, &count);
                });
            }
        });
        relay
    }

    /// Where it listens.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// How many connections it has carried.
    pub(super) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn serve(
    speaks: &Speaks,
    client: &TcpStream,
    api: SocketAddr,
    count: &AtomicUsize,
) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let server = match speaks {
        Speaks::Forward(address) => TcpStream::connect(address)?,
        Speaks::Socks5 => socks5(&mut reader, client, api)?,
        Speaks::Http(credential) => http(&mut reader, client, *credential, api)?,
    };
    count.fetch_add(1, Ordering::Relaxed);
    // What came with the greeting belongs to the server.
    (&server).write_all(reader.buffer())?;
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || carry(&from, &to));
    carry(&server, client);
    Ok(())
}

fn carry(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// What a name leads to here: the API server by its port, everything else on the loopback.
fn connect(host: &str, port: u16, api: SocketAddr) -> io::Result<TcpStream> {
    let address = match host.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) if host.eq_ignore_ascii_case(NAME) && port == api.port() => api.ip(),
        Err(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    TcpStream::connect((address, port))
}

fn http(
    reader: &mut BufReader<TcpStream>,
    mut client: &TcpStream,
    credential: Option<&str>,
    api: SocketAddr,
) -> io::Result<TcpStream> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let known = credential.is_none_or(|credential| {
        head.lines().any(|line| {
            line.to_ascii_lowercase()
                .starts_with("proxy-authorization: basic ")
                && line.ends_with(credential)
        })
    });
    if !known {
        client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"here\"\r\nContent-Length: 0\r\n\r\n")?;
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut words = head.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let authority = target.strip_prefix("http://").unwrap_or(target);
    let authority = authority.split('/').next().unwrap_or_default();
    let (host, port) = authority
        .rsplit_once(':')
        .ok_or(io::ErrorKind::InvalidData)?;
    let port = port.parse().map_err(|_| io::ErrorKind::InvalidData)?;
    let mut server = connect(host, port, api)?;
    if method == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    } else {
        server.write_all(head.as_bytes())?;
    }
    Ok(server)
}

fn socks5(
    reader: &mut impl Read,
    mut client: &TcpStream,
    api: SocketAddr,
) -> io::Result<TcpStream> {
    let mut greeting = [0; 2];
    reader.read_exact(&mut greeting)?;
    if greeting[0] != 5 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut methods = vec![0; greeting[1].into()];
    reader.read_exact(&mut methods)?;
    client.write_all(&[5, 0])?;
    let mut request = [0; 4];
    reader.read_exact(&mut request)?;
    let host = match request[3] {
        1 => {
            let mut address = [0; 4];
            reader.read_exact(&mut address)?;
            Ipv4Addr::from(address).to_string()
        }
        3 => {
            let mut length = [0];
            reader.read_exact(&mut length)?;
            let mut name = vec![0; length[0].into()];
            reader.read_exact(&mut name)?;
            String::from_utf8_lossy(&name).into_owned()
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let mut port = [0; 2];
    reader.read_exact(&mut port)?;
    let server = connect(&host, u16::from_be_bytes(port), api)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok(server)
}

//! The local side of a tunnel: ports on this machine, and the supervision of what comes in through them.
//!
//! Each connection stands alone. Where it goes is looked up anew, what happens to it is said once, and nothing that happens
//! to it ends another or the listening itself; `kubectl port-forward` ends them all when one fails (kubernetes#111825).

mod bind;
mod browser;
#[cfg(target_os = "linux")]
mod diag;
mod repeats;
mod sockets;

use std::cell::RefCell;
use std::future::{Future, poll_fn, ready};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};

pub use bind::{Bound, Taken, WantedPort, bind};
use browser::Request;
use repeats::Repeats;
use sockets::Caller;

use crate::{Endpoint, Engine};
use commons::error::{Error, Hint, Result};

/// How long nothing is accepted after the machine ran out of something (files, memory).
const RECOVER: Duration = Duration::from_millis(500);

/// How long a client may go on sending after the pod has ended the connection. What arrives later meets a closed socket; if
/// it closed at once, bytes on their way to the client could be lost (RFC 1122, 4.2.2.13).
const PARTING: Duration = Duration::from_secs(2);

/// How long a connection that has failed takes to be gone.
const BARELY: Duration = Duration::from_millis(100);

/// Where the connections go.
pub trait Destination {
    /// The endpoint for the next connection, looked up anew.
    ///
    /// # Errors
    /// There is none now: this connection fails, the next one asks again.
    fn endpoint(&self) -> impl Future<Output = Result<Endpoint>>;

    /// A connection failed. Answers with what is to be said about it, if anything.
    fn failed(&self, error: Error) -> impl Future<Output = Option<Error>> {
        ready(Some(error))
    }
}

/// Whose connections are taken. A port on 127.0.0.1 is open to everybody with an account on this machine, and a database
/// that trusts localhost makes whoever comes through a tunnel a superuser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Callers {
    /// Those of the user who runs this, where the machine tells ([`TELLS_CALLERS`]). Not even the administrator's: a service
    /// of the administrator's that connects for others would let them all in.
    #[default]
    Oneself,
    /// Everybody's.
    Anyone,
}

/// Whether this machine tells whose a connection is; where it does not, everybody's are taken.
pub const TELLS_CALLERS: bool = cfg!(target_os = "linux");

/// Whom a port is for, and for how long it is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Admission {
    /// Whose connections are taken.
    pub callers: Callers,
    /// Whether requests of web pages are turned away; for what speaks HTTP.
    pub no_pages: bool,
    /// Whether the port stays ours when nothing is taken any more, until this is dropped: a program that was told of it would
    /// give its password to whoever came next.
    pub keeps_port: bool,
}

/// Something that the user should know.
#[derive(Debug)]
pub enum Notice {
    /// A connection failed. The same line is not told again for a while.
    Failed {
        /// Why, in one line.
        line: String,
        /// What helps.
        hints: Vec<Hint>,
    },
    /// The machine has run out of something: new connections wait.
    Exhausted(io::Error),
    /// No connection is taken any more, and so many are still open.
    StillOpen(usize),
}

/// What helps; a plugin says it in its own flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerRemedy {
    /// To let other users of this machine in too.
    AnyLocalUser,
    /// To let the port be chosen.
    AnyPort,
}

/// Takes connections until `closing` ends, then waits for those that are open (for ever, if the port is to be kept). When this
/// is dropped, all are reset at once.
///
/// # Errors
/// The sockets cannot be used; never because of a connection.
pub async fn serve<D, E>(
    bound: Bound,
    admission: Admission,
    to: Rc<D>,
    engine: Rc<E>,
    tell: impl Fn(Notice) + 'static,
    closing: impl Future<Output = ()>,
) -> Result<()>
where
    D: Destination + 'static,
    E: Engine + 'static,
{
    let port = bound.port;
    let listening: io::Result<Vec<TcpListener>> = bound
        .sockets
        .into_iter()
        .map(TcpListener::from_std)
        .collect();
    let listening = listening.map_err(|error| {
        Error::new(format!("cannot listen on port {port}")).caused_by(error.to_string())
    })?;
    LocalSet::new()
        .run_until(async move {
            let tell = Rc::new(tell);
            let repeats = Rc::new(RefCell::new(Repeats::default()));
            let mut connections = JoinSet::new();
            let accepting = async {
                let mut exhausted = false;
                loop {
                    tokio::select! {
                        accepted = accept(&listening) => match accepted {
                            Ok((local, remote)) => {
                                exhausted = false;
                                let (to, engine, repeats, tell) = (to.clone(), engine.clone(), repeats.clone(), tell.clone());
                                connections.spawn_local(async move {
                                    if let Err(Some(error)) = connection(local, remote, admission, &*to, &*engine).await {
                                        tell_once(&*tell, &repeats, &error);
                                    }
                                });
                            }
                            // The client has gone before its turn.
                            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                            Err(error) => {
                                if !exhausted {
                                    tell(Notice::Exhausted(error));
                                }
                                exhausted = true;
                                sleep(RECOVER).await;
                            }
                        },
                        Some(_) = connections.join_next() => {}
                    }
                }
            };
            tokio::select! {
                () = accepting => {}
                () = closing => {}
            }
            if admission.keeps_port {
                let ending = async { while connections.join_next().await.is_some() {} };
                tokio::join!(ending, turn_all_away(&listening));
            }
            drop(listening);
            finish(connections, &*tell).await;
        })
        .await;
    Ok(())
}

/// Resets whatever comes, for ever.
async fn turn_all_away(listening: &[TcpListener]) {
    loop {
        match accept(listening).await {
            Ok((local, _)) => {
                let _ = local.set_zero_linger();
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => sleep(RECOVER).await,
        }
    }
}

/// Waits for the connections that are open.
async fn finish(mut connections: JoinSet<()>, tell: &impl Fn(Notice)) {
    // Those that are just ending are not worth a word.
    let _ = timeout(BARELY, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
    if !connections.is_empty() {
        tell(Notice::StillOpen(connections.len()));
    }
    while connections.join_next().await.is_some() {}
}

/// The next connection on any of the sockets.
async fn accept(listening: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|context| {
        listening
            .iter()
            .map(|socket| socket.poll_accept(context))
            .find(Poll::is_ready)
            .unwrap_or(Poll::Pending)
    })
    .await
}

/// The life of one connection; an error that is worth a word, or none.
async fn connection<D: Destination, E: Engine>(
    mut local: TcpStream,
    remote: SocketAddr,
    admission: Admission,
    to: &D,
    engine: &E,
) -> Result<(), Option<Error>> {
    // Unless all goes well, the client shall see a reset: half an answer must not look like a whole one.
    let _ = local.set_zero_linger();
    let _ = local.set_nodelay(true);
    if admission.callers == Callers::Oneself {
        admit(&local, remote)?;
    }
    if admission.no_pages {
        match browser::first_request(&local).await {
            Request::Fine => {}
            Request::Gone => return Err(None),
            Request::Refused(why) => {
                let _ = local.write_all(browser::FORBIDDEN.as_bytes()).await;
                part(local).await;
                return Err(Some(browser::refused(&why)));
            }
        }
    }
    let carried = match to.endpoint().await {
        Ok(endpoint) => engine
            .carry(&mut local, &endpoint)
            .await
            .map_err(|failure| failure.explain(&endpoint)),
        Err(error) => Err(Some(error)),
    };
    match carried {
        Ok(()) => {
            part(local).await;
            Ok(())
        }
        Err(None) => Err(None),
        Err(Some(error)) => {
            // Before anything is asked of the cluster: the client need not wait for that.
            drop(local);
            Err(to.failed(error).await)
        }
    }
}

/// Turns away other users of this machine.
fn admit(local: &TcpStream, remote: SocketAddr) -> Result<(), Option<Error>> {
    let Ok(ours) = local.local_addr() else {
        return Ok(());
    };
    match sockets::caller(ours, remote) {
        Caller::User(uid) if uid != own_uid() => {
            let who = sockets::user(uid);
            let error = Error::new(format!(
                "{who} of this machine was turned away: the tunnel is for you alone"
            ));
            let hint = Hint::with_remedy(
                ListenerRemedy::AnyLocalUser,
                "let other users of this machine in",
            );
            Err(Some(error.hint(hint)))
        }
        Caller::Gone => Err(None),
        Caller::User(_) | Caller::Unknown => Ok(()),
    }
}

#[cfg(unix)]
fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn own_uid() -> u32 {
    0
}

/// Ends a connection in peace: what was sent to the client stays, and what it still sends goes nowhere.
async fn part(mut local: TcpStream) {
    let _ = socket2::SockRef::from(&local).set_linger(None);
    let _ = local.shutdown().await;
    let mut scrap = [0; 4096];
    let drained = async { while local.read(&mut scrap).await.is_ok_and(|read| read > 0) {} };
    let _ = timeout(PARTING, drained).await;
}

/// Tells what went wrong with a connection, unless it was told just now.
fn tell_once(tell: &impl Fn(Notice), repeats: &RefCell<Repeats>, error: &Error) {
    let line = std::iter::once(error.message())
        .chain(error.causes().iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(": ");
    if let Some(line) = repeats.borrow_mut().admit(line, Instant::now()) {
        let hints = error.hints().to_vec();
        tell(Notice::Failed { line, hints });
    }
}

#[cfg(test)]
mod tests;

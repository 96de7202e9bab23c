//! Both ends of a connection within this process: what an [`Engine`](super::Engine) carries for ourselves.

use std::io;

use tokio::net::{TcpListener, TcpStream};

/// Opens one. There is a port for an instant, which takes nobody in but ourselves.
///
/// # Errors
/// The machine has no port or no descriptor left.
pub async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    let own = near.local_addr()?;
    loop {
        let (far, from) = listener.accept().await?;
        if from == own {
            return Ok((near, far));
        }
    }
}

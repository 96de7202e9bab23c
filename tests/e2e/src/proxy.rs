//! A running `proxy-db`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::outcome::{Outcome, PATIENCE, exit_code, run};
use crate::person::Person;

impl Person {
    /// One SQL statement through `kubectl proxy-db DATABASE -- psql`.
    pub fn sql(&self, database: &str, statement: &str) -> Outcome {
        self.proxy_db(&[
            database,
            "--port",
            &free_port().to_string(),
            "--",
            "psql",
            "-XAtc",
            statement,
        ])
    }

    /// Starts `kubectl proxy-db DATABASE` on a free port and waits until it says that it is ready.
    pub fn proxy(&self, database: &str) -> Proxy {
        let port = free_port();
        let mut child = self
            .plugin("proxy-db")
            .args([database, "--port", &port.to_string(), "-o", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = lines(child.stderr.take().unwrap());
        let stdout = lines(child.stdout.take().unwrap());
        let ready = stdout.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let _ = child.kill();
            panic!(
                "proxy-db is not ready: {}",
                stderr.try_iter().collect::<Vec<_>>().join("\n")
            )
        });
        let ready = serde_json::from_str(&ready)
            .unwrap_or_else(|error| panic!("not JSON: {ready}: {error}"));
        Proxy {
            child,
            port,
            ready,
            stderr,
            said: String::new(),
        }
    }
}

/// A running `proxy-db`; it is ended when this goes.
pub struct Proxy {
    child: Child,
    /// The local port.
    pub port: u16,
    /// Its readiness line.
    pub ready: serde_json::Value,
    stderr: Receiver<String>,
    said: String,
}

impl Proxy {
    /// One SQL statement over a new connection.
    pub fn sql(&self, statement: &str) -> Outcome {
        run(&mut self.psql(statement))
    }

    /// psql, about to run one statement over a new connection.
    pub fn psql(&self, statement: &str) -> Command {
        let mut psql = Command::new("psql");
        let target = format!(
            "host=127.0.0.1 port={} user=shop dbname=shop connect_timeout=20",
            self.port
        );
        psql.args(["-XAtc", statement, &target])
            .stdin(Stdio::null())
            .env_remove("PGSERVICE")
            .env_remove("PGHOSTADDR");
        psql
    }

    /// Waits until it has said this on standard error.
    pub fn says(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.said.contains(text) {
            match self
                .stderr
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => self.said += &(line + "\n"),
                Err(why) => panic!("proxy-db did not say {text:?} ({why}) but:\n{}", self.said),
            }
        }
    }

    /// Sends it a signal by name and waits for its exit code.
    pub fn signal(&mut self, signal: &str) -> i32 {
        run(Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()])).ok();
        self.end()
    }

    /// Waits for its end, and for the last that it says.
    pub fn end(&mut self) -> i32 {
        let code = exit_code(&mut self.child, PATIENCE);
        while let Ok(line) = self.stderr.recv_timeout(PATIENCE) {
            self.said += &(line + "\n");
        }
        code
    }

    /// Everything that it has said on standard error so far.
    pub fn said(&mut self) -> &str {
        while let Ok(line) = self.stderr.try_recv() {
            self.said += &(line + "\n");
        }
        &self.said
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a stream, as they come.
pub(crate) fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A local port that nothing listens on and no other test is given, from below those that the system hands out.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mine = std::process::id() % 100 * 100;
    (0..100)
        .map(|_| {
            u16::try_from(20_000 + (mine + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000).unwrap()
        })
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

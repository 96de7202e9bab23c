//! A stage for scenarios: people with namespaces of their own on a real cluster, who type real commands.
//!
//! Every test has its own people, so tests run side by side. What a test made is removed when its stage goes, also when the
//! test fails; then the state of its namespace is printed first.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    clippy::return_self_not_must_use,
    reason = "a harness that fails is a failed test"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use test_cluster::machine::{Package, ensure_packages};
use test_cluster::{Cluster, Progress};

/// How long any command of a test may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The people of one test.
pub struct Stage {
    /// The cluster that they share.
    pub cluster: Cluster,
    tag: String,
    names: Vec<String>,
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// Finds the cluster; a test without one fails.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let psql = Package {
            name: "postgresql-client",
            shows: "psql",
        };
        ensure_packages(&[psql], &Progress::new()).unwrap_or_else(|error| panic!("{error}"));
        let cluster = Cluster::for_tests().unwrap_or_else(|error| panic!("{error}"));
        let tag = format!(
            "{:x}{:x}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        Self {
            cluster,
            tag,
            names: Vec::new(),
        }
    }

    /// A stage for people who live on the cluster: their names are plain, and they stay.
    ///
    /// # Panics
    /// When there is no cluster.
    pub fn named() -> Self {
        let mut stage = Self::new();
        stage.tag.clear();
        stage
    }

    /// Somebody who lives on the cluster, under a plain name.
    pub fn resident(&mut self, name: &str) -> Person {
        let kubeconfig = self
            .cluster
            .add_user(name, Some("admin"), &[])
            .unwrap_or_else(|error| panic!("{error}"));
        Person {
            name: name.into(),
            kubeconfig,
            kubectl: self.cluster.kubectl().to_owned(),
        }
    }

    /// Somebody with a namespace of their own, of which they are admin.
    pub fn person(&mut self, name: &str) -> Person {
        self.person_with(name, "admin", &[])
    }

    /// Somebody with this ClusterRole in a namespace of their own, and in these groups.
    pub fn person_with(&mut self, name: &str, role: &str, groups: &[&str]) -> Person {
        let name = format!("{name}-{}", self.tag);
        let kubeconfig = self
            .cluster
            .add_user(&name, Some(role), groups)
            .unwrap_or_else(|error| panic!("{error}"));
        self.names.push(name.clone());
        Person {
            name,
            kubeconfig,
            kubectl: self.cluster.kubectl().to_owned(),
        }
    }

    /// The cluster's administrator.
    pub fn admin(&self) -> Person {
        Person {
            name: "admin".into(),
            kubeconfig: self.cluster.admin_kubeconfig().to_owned(),
            kubectl: self.cluster.kubectl().to_owned(),
        }
    }

    /// A name that is this test's own.
    pub fn own(&self, name: &str) -> String {
        format!("{name}-{}", self.tag)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let admin = self.admin();
            for name in &self.names {
                let state = admin.kubectl(&[
                    "get",
                    "all,endpoints,role,rolebinding,configmap,events",
                    "-n",
                    &format!("user-{name}"),
                    "-o",
                    "wide",
                ]);
                let logs = admin.kubectl(&[
                    "logs",
                    "pod/pg-0",
                    "-n",
                    &format!("user-{name}"),
                    "--tail=20",
                ]);
                eprintln!(
                    "--- state of user-{name} ---\n{}{}{}",
                    state.stdout, state.stderr, logs.stdout
                );
            }
        }
        for name in &self.names {
            if let Err(error) = self.cluster.remove_user(name, false) {
                eprintln!("cannot remove {name}: {error}");
            }
        }
    }
}

/// Somebody who types commands.
#[derive(Clone, Debug)]
pub struct Person {
    /// What others call them.
    pub name: String,
    /// How they reach the cluster.
    pub kubeconfig: PathBuf,
    kubectl: PathBuf,
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code; 128 + n for a signal.
    pub code: i32,
}

impl Outcome {
    /// The same, if it succeeded.
    ///
    /// # Panics
    /// With all output otherwise.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(
            self.code == 0,
            "failed with {}:\n{}{}",
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// The same, if it failed with this code and said this on standard error.
    ///
    /// # Panics
    /// With all output otherwise.
    #[track_caller]
    pub fn fails(self, code: i32, saying: &str) -> Self {
        assert!(
            self.code == code && self.stderr.contains(saying),
            "expected {code} and {saying:?}, got {}:\n{}{}",
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }
}

impl Person {
    /// Their namespace.
    pub fn namespace(&self) -> String {
        format!("user-{}", self.name)
    }

    /// A program of the suite, by its plugin's name.
    ///
    /// # Panics
    /// When it was not built.
    pub fn plugin(&self, plugin: &str) -> Command {
        let program = programs().join(format!("kubectl-{}", plugin.replace('-', "_")));
        assert!(
            program.exists(),
            "{} is missing: run `make build`",
            program.display()
        );
        self.environment(Command::new(program))
    }

    fn environment(&self, mut command: Command) -> Command {
        // kubectl finds the plugins as it finds any: on PATH.
        let path = std::env::join_paths(std::iter::once(programs()).chain(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        )))
        .unwrap();
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", path)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Types `kubectl share-db ARGS`.
    pub fn share_db(&self, args: &[&str]) -> Outcome {
        run(self.plugin("share-db").args(args))
    }

    /// Types `kubectl proxy-db ARGS` and waits for its end.
    pub fn proxy_db(&self, args: &[&str]) -> Outcome {
        run(self.plugin("proxy-db").args(args))
    }

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

    /// Types `kubectl ARGS`.
    pub fn kubectl(&self, args: &[&str]) -> Outcome {
        run(self.environment(Command::new(&self.kubectl)).args(args))
    }

    /// Starts `kubectl ARGS`.
    pub fn start_kubectl(&self, args: &[&str]) -> Child {
        self.environment(Command::new(&self.kubectl))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Deploys the PostgreSQL of `manifests/postgres.yaml` and waits until it is ready.
    pub fn deploys_postgres(&self) {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/postgres.yaml");
        self.kubectl(&["apply", "-f", &manifest.display().to_string()])
            .ok();
        self.postgres_is_ready();
    }

    /// Waits until that PostgreSQL is ready.
    pub fn postgres_is_ready(&self) {
        eventually("PostgreSQL is ready", PATIENCE, || {
            let endpoints = self.kubectl(&[
                "get",
                "endpoints",
                "pg",
                "-o",
                "jsonpath={.subsets[*].addresses[*].targetRef.name}",
            ]);
            endpoints.stdout.contains("pg-0")
        });
    }

    /// The names of the objects of a kind in their namespace that the suite manages.
    pub fn ours(&self, kinds: &str) -> Vec<String> {
        let found = self
            .kubectl(&[
                "get",
                kinds,
                "-l",
                "app.kubernetes.io/managed-by",
                "-o",
                "name",
            ])
            .ok();
        found.stdout.lines().map(str::to_owned).collect()
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

    /// Waits for its end.
    pub fn end(&mut self) -> i32 {
        exit_code(&mut self.child, PATIENCE)
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

/// Where the built plugins are: the optimised ones, unless `COMMONS_BIN_DIR` names others.
fn programs() -> PathBuf {
    std::env::var_os("COMMONS_BIN_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release"),
        PathBuf::from,
    )
}

/// The lines of a stream, as they come.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
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

/// Runs a command to its end, in bounded time.
///
/// # Panics
/// When it cannot be started or takes more than a minute.
#[track_caller]
pub fn run(command: &mut Command) -> Outcome {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let read = |stream: &mut dyn Read| {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    std::thread::scope(|scope| {
        let out = scope.spawn(move || read(&mut stdout));
        let err = scope.spawn(move || read(&mut stderr));
        let code = exit_code(&mut child, PATIENCE);
        Outcome {
            stdout: out.join().unwrap(),
            stderr: err.join().unwrap(),
            code,
        }
    })
}

/// A child's exit code; a child that does not end is killed.
#[track_caller]
fn exit_code(child: &mut Child, patience: Duration) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("a command did not end within {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for a condition.
///
/// # Panics
/// When it does not come true in time.
#[track_caller]
pub fn eventually(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
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

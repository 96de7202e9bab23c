//! What a command is given of the user's own environment, and what is kept from it.

use super::*;

/// What Onyxia puts into the environment of every service, and a little more.
const OF_BOBS_OWN: [(&str, &str); 6] = [
    ("PGHOST", "postgresql.user-bob"),
    ("PGPORT", "5432"),
    ("PGDATABASE", "prod"),
    ("PGUSER", "bob"),
    ("PGPASSWORD", "BOBS-GLOBAL-PASSWORD"),
    ("DATABASE_URL", "postgresql://bob@postgresql.user-bob/prod"),
];

const LEFT_OUT: &str = "hint: `--keep-env` passes on what you have set\n";

/// Runs proxy-db with Bob's environment.
fn by_bob(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let (mut command, home) = command(server, arguments);
    std::fs::write(home.path().join(".pgpass"), "*:*:*:*:BOBS-PASS-FILE\n").expect("written");
    let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(home.path().join(".pgpass"), only_mine).expect("set");
    command.env("HOME", home.path()).envs(OF_BOBS_OWN);
    let output = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The variables of libpq and `DATABASE_URL` that a command gets.
const SHOW: &str = "env | grep -E '^(PG|DATABASE_URL)' | sort";

#[test]
fn a_shared_database_is_told_nothing_of_ones_own() {
    let server = shared(&[("username", "shop"), ("dbname", "shop")]);
    let port = free_port().to_string();
    let (code, stdout, stderr) = by_bob(
        &server,
        &["user-alice/pg", "--port", &port, "--", "sh", "-c", SHOW],
    );
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        stdout,
        format!(
            "DATABASE_URL=postgresql://shop@127.0.0.1:{port}/shop\nPGDATABASE=shop\nPGHOST=127.0.0.1\nPGPASSFILE=/dev/null/none\nPGPORT={port}\nPGREQUIREAUTH=scram-sha-256,md5,none\nPGSSLCERT=/dev/null/none\nPGUSER=shop\n"
        )
    );
    assert!(
        stderr.ends_with(&format!(
            "warning: PGPASSWORD of your environment was not passed on: it may be for another database\n{LEFT_OUT}"
        )),
        "{stderr}"
    );
}

#[test]
fn who_means_his_environment_says_so() {
    let server = shared(&[]);
    let port = free_port().to_string();
    let arguments = ["user-alice/pg", "--port", &port, "-q", "--keep-env"];
    let (code, stdout, stderr) = by_bob(
        &server,
        &[&arguments[..], &["--", "sh", "-c", SHOW]].concat(),
    );
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(
        stdout,
        format!(
            "DATABASE_URL=postgresql://127.0.0.1:{port}/\nPGDATABASE=prod\nPGHOST=127.0.0.1\nPGPASSWORD=BOBS-GLOBAL-PASSWORD\nPGPORT={port}\nPGUSER=bob\n"
        )
    );
}

/// Mallory's card says that it is no PostgreSQL, and Bob runs psql all the same.
#[test]
fn a_database_of_no_known_kind_is_reached_or_none() {
    let server = shared(&[("protocol", "other"), ("port", "6432")]);
    let port = free_port().to_string();
    let (code, stdout, stderr) = by_bob(
        &server,
        &[
            "user-alice/pg",
            "--port",
            &port,
            "-q",
            "--",
            "sh",
            "-c",
            SHOW,
        ],
    );
    assert_eq!(code, Some(0));
    assert_eq!(
        stdout,
        format!(
            "PGHOST=127.0.0.1\nPGPASSFILE=/dev/null/none\nPGPORT={port}\nPGREQUIREAUTH=scram-sha-256,md5,none\nPGSSLCERT=/dev/null/none\n"
        )
    );
    assert_eq!(
        stderr,
        "warning: DATABASE_URL, PGDATABASE, PGPASSWORD and PGUSER of your environment were not passed on: they may be for another database\n"
    );
}

/// Whether there is a psql to try it with.
fn has_psql() -> bool {
    let has = Command::new("psql")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    if !has {
        let _ = writeln!(
            std::io::stderr(),
            "NOT TRIED with psql, which is not installed (package postgresql-client)"
        );
    }
    has
}

/// A PostgreSQL of Mallory's asks whoever comes for the password.
#[test]
fn psql_sends_no_password_to_somebody_elses_server() {
    if !has_psql() {
        return;
    }
    for protocol in ["postgres", "other"] {
        let server = shared(&[("protocol", protocol)]);
        server.pod(Pod::AsksForPassword);
        let port = free_port().to_string();
        let psql = ["psql", "-Xw", "-c", "select 1"];
        let arguments = ["user-alice/pg", "--port", &port, "-q"];
        let (code, _, stderr) = by_bob(&server, &[&arguments[..], &["--"], &psql].concat());
        assert_eq!(code, Some(2), "{stderr}");
        assert!(
            server.heard().contains("user\0"),
            "psql has come here, not to another server: {stderr}"
        );
        assert!(!server.heard().contains("BOBS"), "{}", server.heard());
        assert!(!stderr.contains("password file"), "{stderr}");
        let kept = [&arguments[..], &["--keep-env", "--"], &psql].concat();
        let (_, _, stderr) = by_bob(&server, &kept);
        assert!(
            server.heard().contains("BOBS-GLOBAL-PASSWORD"),
            "it was asked for: {stderr}"
        );
    }
}

/// Mallory lets Bob look into her namespace, where her database has a name of its own.
#[test]
fn a_namespace_of_others_is_named_and_its_names_are_names() {
    let server = own();
    let container = json!({"name": "pg", "image": "postgres:15", "env": [
        {"name": "POSTGRES_USER", "value": "shop"},
        {"name": "POSTGRES_DB", "value": "host=127.0.0.9 port=1 user=bob dbname=prod"},
    ]});
    server.answer(
        PODS,
        200,
        json!({"kind": "Pod", "metadata": {"name": "pg-0"}, "spec": {"containers": [container]}}),
    );
    let review = |allowed: bool| json!({"kind": "SelfSubjectAccessReview", "spec": {}, "status": {"allowed": allowed}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let said = "Namespace user-alice is not yours: whoever administers it decides what answers here, and can read what you send\n";
    for (allowed, is_said) in [(false, true), (true, false)] {
        server.answer(path, 201, review(allowed));
        let port = free_port().to_string();
        let (code, stdout, stderr) = by_bob(
            &server,
            &[
                "pg",
                "-n",
                "user-alice",
                "--port",
                &port,
                "--",
                "sh",
                "-c",
                SHOW,
            ],
        );
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(stderr.contains(said), is_said, "{stderr}");
        assert_eq!(stdout.contains("PGPASSFILE"), is_said, "{stdout}");
        assert!(
            stdout.contains("PGUSER=shop\n") && !stdout.contains("127.0.0.9"),
            "{stdout}"
        );
        assert!(!stdout.contains("BOBS"), "{stdout}");
    }
    // Nothing is asked about the kubeconfig's own namespace.
    let port = free_port().to_string();
    let (_, stdout, stderr) = by_bob(
        &server,
        &["user-alice/pg", "--port", &port, "--", "sh", "-c", SHOW],
    );
    assert!(!stderr.contains("not yours") && !stdout.contains("PGPASSFILE"));
}

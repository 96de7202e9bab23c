//! Everything that the plugins say, read as a user reads it.
//!
//! After a change of words: `INSTA_UPDATE=always cargo test -p cli-tests`, then read the difference.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics, and says where"
)]

/// Reads what some runs have said, one after the other: nothing in it may act on a terminal or give a secret away.
macro_rules! snapshot {
    ($name:literal, $($run:expr),+ $(,)?) => {
        crate::without_source().bind(|| insta::assert_snapshot!($name, crate::read(&[$(&$run),+])))
    };
    ($($run:expr),+ $(,)?) => {
        crate::without_source().bind(|| insta::assert_snapshot!(crate::read(&[$(&$run),+])))
    };
}

/// The same for any number of runs.
macro_rules! snapshot_all {
    ($name:literal, $runs:expr) => {{
        let runs = $runs;
        let text = crate::read(&runs.iter().collect::<Vec<_>>());
        crate::without_source().bind(|| insta::assert_snapshot!($name, text));
    }};
    ($runs:expr) => {{
        let runs = $runs;
        let text = crate::read(&runs.iter().collect::<Vec<_>>());
        crate::without_source().bind(|| insta::assert_snapshot!(text));
    }};
}

mod awaited;
mod changed_by_hand;
mod colleagues;
mod commands;
mod connection;
mod databases;
mod deploy;
mod ending;
mod expose;
mod fixtures;
mod hostile;
mod kubeconfig;
mod list;
mod logins;
mod output;
mod pasted;
mod platform;
mod precedence;
mod proxy;
mod refusals;
mod registry;
mod rights;
mod share;
mod terminal;
mod timer;

/// Runs cases side by side: most of a plugin's time is waiting.
fn together<T: Send>(cases: &[&(dyn Fn() -> T + Sync)]) -> Vec<T> {
    std::thread::scope(|scope| {
        let running: Vec<_> = cases.iter().map(|case| scope.spawn(*case)).collect();
        running
            .into_iter()
            .map(|case| {
                case.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}

/// Lets everybody list Roles. Jobs and Roles are listed at the same time: where both are refused, the first answer is told.
fn roles_are_open(server: &cli_tests::ApiServer) {
    server.on("GET", "*/roles", || {
        let list = serde_json::json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleList", "metadata": {}, "items": []});
        cli_tests::Response::json(200, &list)
    });
}

/// What must never be printed: credentials that the tests use.
const SECRETS: [&str; 4] = ["alice-token", "root-token", "hunter2", "s3cr3t"];

/// Snapshots hold what the user reads, not how the test is written.
fn without_source() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings
}

/// What some runs have said, after a look at it.
#[track_caller]
fn read(runs: &[&cli_tests::Run]) -> String {
    assert_harmless(runs);
    let texts: Vec<String> = runs.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

#[track_caller]
fn assert_harmless(runs: &[&cli_tests::Run]) {
    for run in runs {
        let output = run.output();
        assert!(cli_tests::run::is_harmless(&output), "{run}");
        for secret in SECRETS {
            assert!(!output.contains(secret), "{secret} in: {run}");
        }
        assert!(!output.contains("panicked"), "{run}");
    }
}

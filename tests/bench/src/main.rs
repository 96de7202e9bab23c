//! Measurements beside kubectl, printed as ratios: `make bench`.
//!
//! Both sides run in turn on the same machine and cluster, after one round that does not count; medians are compared, so
//! that a slow or busy machine changes the figures but hardly the ratios. A promise that is not kept fails the run.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement prints, and one that cannot run is a failure"
)]

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use e2e::{Person, Stage};

/// Rounds that count.
const ROUNDS: usize = 9;
/// The largest binary that is promised, in bytes.
const LARGEST: u64 = 7_000_000;

fn main() -> ExitCode {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let kept = [
        sizes(&alice),
        help(&stage, &alice),
        share(&stage, &alice, &bob),
    ];
    if kept.into_iter().all(|kept| kept) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Each binary is small.
fn sizes(alice: &Person) -> bool {
    let mut kept = true;
    let plugins =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins")).unwrap();
    for plugin in plugins.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        let size = std::fs::metadata(alice.plugin(&plugin).get_program())
            .unwrap()
            .len();
        println!(
            "{plugin}: {:.2} MB (promised: at most {:.0} MB)",
            megabytes(size),
            megabytes(LARGEST)
        );
        kept &= size <= LARGEST;
    }
    kept
}

#[expect(clippy::cast_precision_loss, reason = "a size to be read")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The start of a process: our help beside kubectl's version.
fn help(stage: &Stage, alice: &Person) -> bool {
    let ours = || timed(alice.plugin("share-db").arg("--help"));
    let theirs = || timed(Command::new(stage.cluster.kubectl()).args(["version", "--client"]));
    compare(
        "share-db --help",
        "kubectl version --client",
        0.05,
        ours,
        theirs,
    )
}

/// A share, beside the kubectl commands that make the same objects and ask the same questions.
fn share(stage: &Stage, alice: &Person, bob: &Person) -> bool {
    let admin = stage.admin();
    let name = format!("share-pg-{}", bob.name);
    let user = format!("--user=oidc-{}", bob.name);
    let namespace = alice.namespace();
    let manifest = std::env::temp_dir().join(stage.own("timer.json"));
    let plan = alice
        .share_db(&["pg", "--with", &bob.name, "--dry-run", "-o", "json"])
        .ok();
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    std::fs::write(&manifest, plan["items"][0].to_string()).unwrap();
    let manifest_path = manifest.display().to_string();
    let as_bob = format!("--as=oidc-{}", bob.name);
    let nothing_left = || {
        e2e::eventually(
            "nothing is left of the round before",
            Duration::from_secs(20),
            || {
                let left = alice
                    .kubectl(&["get", "jobs,roles,configmaps,rolebindings", "-o", "name"])
                    .ok();
                !left.stdout.contains(&name)
            },
        );
    };

    let ours = || {
        let took = timed(alice.plugin("share-db").args(["pg", "--with", &bob.name]));
        alice.share_db(&["revoke", "pg"]).ok();
        nothing_left();
        took
    };
    let theirs = || {
        let start = Instant::now();
        alice.kubectl(&["create", "-f", &manifest_path]).ok();
        alice
            .kubectl(&[
                "create",
                "role",
                &name,
                "--verb=get,create",
                "--resource=pods/portforward",
                "--resource-name=pg-0",
            ])
            .ok();
        alice
            .kubectl(&[
                "create",
                "rolebinding",
                &name,
                &format!("--role={name}"),
                &user,
            ])
            .ok();
        alice
            .kubectl(&[
                "create",
                "configmap",
                &name,
                "--from-literal=service=pg",
                "--from-literal=port=5432",
            ])
            .ok();
        // Only who may impersonate can ask this with kubectl; Alice may not.
        admin
            .kubectl(&[
                "auth",
                "can-i",
                "create",
                "pods/pg-0",
                "--subresource=portforward",
                "-n",
                &namespace,
                &as_bob,
            ])
            .ok();
        admin
            .kubectl(&["auth", "can-i", "get", "secrets", "-n", &namespace, &as_bob])
            .fails(1, "");
        let took = start.elapsed();
        alice
            .kubectl(&["delete", "job,role,configmap,rolebinding", &name])
            .ok();
        nothing_left();
        took
    };
    let kept = compare(
        "share-db pg --with bob",
        "kubectl, six commands for the same",
        0.3,
        ours,
        theirs,
    );
    std::fs::remove_file(&manifest).unwrap();
    kept
}

/// The wall time of a process from start to end.
fn timed(command: &mut Command) -> Duration {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().expect("it runs");
    let took = start.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    took
}

/// Runs both in turn, prints medians, extremes and the ratio, and tells whether the promise is kept.
fn compare(
    ours: &str,
    theirs: &str,
    promised: f64,
    mut run_ours: impl FnMut() -> Duration,
    mut run_theirs: impl FnMut() -> Duration,
) -> bool {
    run_ours();
    run_theirs();
    let (mut a, mut b): (Vec<Duration>, Vec<Duration>) =
        (0..ROUNDS).map(|_| (run_ours(), run_theirs())).unzip();
    a.sort();
    b.sort();
    let ratio = a[ROUNDS / 2].as_secs_f64() / b[ROUNDS / 2].as_secs_f64();
    for (name, times) in [(ours, &a), (theirs, &b)] {
        println!(
            "{name}: median {:.1} ms (of {ROUNDS}: {:.1} to {:.1})",
            millis(times[ROUNDS / 2]),
            millis(times[0]),
            millis(times[ROUNDS - 1])
        );
    }
    println!("  ratio {ratio:.3} (promised: at most {promised})");
    ratio <= promised
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

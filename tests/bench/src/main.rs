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

use e2e::{Person, PodWatch, Stage};

/// Rounds that count, of what takes long and of what takes milliseconds.
const ROUNDS: (usize, usize) = (9, 41);
/// Rounds of what takes seconds.
const DEPLOYMENTS: usize = 5;
/// What a proven address may take beyond what its pod takes.
const ABOVE_THE_POD: Duration = Duration::from_secs(2);
/// The largest binary that is promised, in bytes.
const LARGEST: u64 = 12_000_000;

fn main() -> ExitCode {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let kept = [
        sizes(&alice),
        help(&stage, &alice),
        share(&stage, &alice, &bob),
        image_to_url(&stage, &alice),
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
    // Both with the same, untouched environment: setting one up costs a tenth of what is measured.
    let program = alice.plugin("share-db").get_program().to_owned();
    let ours = || timed(Command::new(&program).arg("--help"));
    let theirs = || timed(Command::new(stage.cluster.kubectl()).args(["version", "--client"]));
    compare(
        "share-db --help",
        "kubectl version --client",
        0.1,
        ROUNDS.1,
        ours,
        theirs,
    )
}

/// A share, beside the kubectl commands that make the same objects and ask the same questions.
#[expect(clippy::too_many_lines, reason = "one step after the other")]
fn share(stage: &Stage, alice: &Person, bob: &Person) -> bool {
    let admin = stage.admin();
    let name = alice.share_name("pg", &bob.name);
    let namespace = alice.namespace();
    // The very objects, as somebody who pastes YAML would make them: the Job first, the others owned by it.
    let manifest = std::env::temp_dir().join(stage.own("share.json"));
    let plan = alice
        .share_db(&[
            "pg",
            "--with",
            &bob.name,
            "--forever",
            "--dry-run",
            "-o",
            "json",
        ])
        .ok();
    let mut plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let objects = plan["items"].as_array_mut().unwrap();
    for job in objects.iter_mut().filter(|object| object["kind"] == "Job") {
        job["spec"]["activeDeadlineSeconds"] = serde_json::json!(28800);
    }
    let objects = &*objects;
    let of_kind = |kind: &str| {
        objects
            .iter()
            .find(|object| object["kind"] == kind)
            .unwrap()
            .clone()
    };
    let create = |mut object: serde_json::Value, owner: Option<&str>| {
        if let Some(uid) = owner {
            object["metadata"]["ownerReferences"] = serde_json::json!([{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}]);
        }
        std::fs::write(&manifest, object.to_string()).unwrap();
        alice
            .kubectl(&[
                "create",
                "-f",
                &manifest.display().to_string(),
                "-o",
                "jsonpath={.metadata.uid}",
            ])
            .ok()
            .stdout
    };
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
        // Those lists make the API server ask etcd for progress, which it does at most every 100 ms: what is measured next
        // is not to wait for them.
        std::thread::sleep(Duration::from_millis(300));
    };

    let ours = || {
        let took = timed(alice.plugin("share-db").args(["pg", "--with", &bob.name]));
        alice.share_db(&["revoke", "pg"]).ok();
        nothing_left();
        took
    };
    let theirs = || {
        let start = Instant::now();
        let uid = create(of_kind("Job"), None);
        for kind in ["Role", "RoleBinding", "ConfigMap"] {
            create(of_kind(kind), Some(&uid));
        }
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
        alice.kubectl(&["delete", "job", &name]).ok();
        nothing_left();
        took
    };
    let kept = compare(
        "share-db pg --with bob",
        "kubectl, six commands for the same",
        0.3,
        ROUNDS.0,
        ours,
        theirs,
    );
    std::fs::remove_file(&manifest).unwrap();
    kept
}

/// From an image to a URL that is proven to answer with the app, beside the time that its pod takes anyway.
fn image_to_url(stage: &Stage, alice: &Person) -> bool {
    let expose = format!("--expose={}", stage.host("bench"));
    let deploy = ["web", "--image", "web:1", "--port", "8000", &expose];
    let mut rounds: Vec<(Duration, Duration)> = (0..DEPLOYMENTS)
        .map(|_| {
            let watch = PodWatch::start(alice);
            let deployed = alice.deploy_app(&deploy).ok();
            let pod = watch.time_of_the_pod();
            alice.deploy_app(&["delete", "web"]).ok();
            let gone = [
                "wait",
                "pods",
                "-l",
                "app.kubernetes.io/name=web",
                "--for=delete",
            ];
            alice.kubectl(&gone).ok();
            (deployed.took.saturating_sub(pod), deployed.took)
        })
        .collect();
    rounds.sort();
    let (above, took) = rounds[rounds.len() / 2];
    println!(
        "deploy-app --image web:1 --expose: {:.0} ms from command to proof, {:.0} ms above what the pod takes (promised: at most {:.0} ms)",
        millis(took),
        millis(above),
        millis(ABOVE_THE_POD)
    );
    above <= ABOVE_THE_POD
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
    rounds: usize,
    mut run_ours: impl FnMut() -> Duration,
    mut run_theirs: impl FnMut() -> Duration,
) -> bool {
    run_ours();
    run_theirs();
    let (mut a, mut b): (Vec<Duration>, Vec<Duration>) =
        (0..rounds).map(|_| (run_ours(), run_theirs())).unzip();
    a.sort();
    b.sort();
    let ratio = a[rounds / 2].as_secs_f64() / b[rounds / 2].as_secs_f64();
    for (name, times) in [(ours, &a), (theirs, &b)] {
        println!(
            "{name}: median {:.1} ms (of {rounds}: {:.1} to {:.1})",
            millis(times[rounds / 2]),
            millis(times[0]),
            millis(times[rounds - 1])
        );
    }
    println!("  ratio {ratio:.3} (promised: at most {promised})");
    ratio <= promised
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

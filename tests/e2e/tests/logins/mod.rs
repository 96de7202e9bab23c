//! Logins that end after seconds: ours goes on wherever kubectl does, beside it and without taking anything from it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a harness that fails is a failed test"
)]

mod kubeconfig;
mod plugin;
mod token;

mod bursts;
mod ended;
mod interrupted;
mod kept;
mod plugins;
mod pods;
mod terminals;
mod tunnels;

use std::time::Duration;

use e2e::{Stage, eventually};

/// Lets somebody do everything in a namespace.
fn grant(stage: &Stage, subject: &str, namespace: &str) {
    let name = subject.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let name = name.trim_start_matches('-');
    let admin = stage.admin();
    let bind = [
        "create",
        "rolebinding",
        name,
        "-n",
        namespace,
        "--clusterrole=admin",
        subject,
    ];
    admin.kubectl(&bind).ok();
    let who = subject
        .trim_start_matches("--user=")
        .replace("--serviceaccount=", "system:serviceaccount:");
    may_soon(
        stage,
        &who,
        &["create", "pods/portforward", "-n", namespace],
        true,
    );
}

/// Waits until the API server knows what somebody may do, or that they may not.
fn may_soon(stage: &Stage, who: &str, what: &[&str], allowed: bool) {
    let admin = stage.admin();
    let ask = [&["auth", "can-i", "-q", "--as", who], what].concat();
    eventually("the rights are known", Duration::from_mins(1), || {
        (admin.kubectl(&ask).code == 0) == allowed
    });
}

#[expect(
    clippy::print_stdout,
    reason = "for whoever wants to read it: --nocapture"
)]
fn report(text: &str) {
    println!("{text}");
}

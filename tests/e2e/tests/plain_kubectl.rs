//! A colleague without the plugin: `--plain-kubectl` lets `kubectl port-forward` work, and says what it shows.

use std::io::{BufRead, BufReader};

use e2e::Stage;

#[test]
fn kubectl_port_forward_needs_the_flag() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let namespace = alice.namespace();
    alice.share_db(&["pg", "--with", &bob.name]).ok();
    let forward = ["port-forward", "-n", &namespace, "pod/pg-0", ":5432"];
    bob.kubectl(&forward)
        .fails(1, "cannot get resource \"pods\"");

    let shared = alice
        .share_db(&["pg", "--with", &bob.name, "--plain-kubectl"])
        .ok();
    assert!(
        shared.stdout.contains(&format!(
            "kubectl port-forward -n {namespace} pod/pg-0 5432"
        )),
        "{}",
        shared.stdout
    );
    assert!(
        shared
            .stderr
            .contains("every password that stands in its environment"),
        "{}",
        shared.stderr
    );
    let mut kubectl = bob.start_kubectl(&forward);
    let mut line = String::new();
    BufReader::new(kubectl.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    kubectl.kill().unwrap();
    kubectl.wait().unwrap();
    assert!(line.starts_with("Forwarding from 127.0.0.1:"), "{line}");

    // Taken back by sharing without it.
    alice.share_db(&["pg", "--with", &bob.name]).ok();
    bob.kubectl(&forward)
        .fails(1, "cannot get resource \"pods\"");
}

//! A login that its issuer has ended: one sentence, and the kubeconfig stays as it is.

use e2e::Stage;

use crate::logins::kubeconfig::Kept;

#[test]
fn a_login_that_has_ended_is_named_in_one_sentence() {
    let mut stage = Stage::new();
    let alice = Kept::by(&mut stage, "alice");
    alice.is_logged_out();
    // The API server does not know yet.
    alice.person.share_db(&["list"]).ok();
    alice.ends_now();
    let text = alice.text();
    let person = &alice.person;
    for (plugin, outcome) in [
        ("share-db list", person.share_db(&["list"])),
        ("share-db pg", person.share_db(&["pg", "--with", "bob"])),
        ("proxy-db pg", person.proxy_db(&["pg"])),
        ("expose-app list", person.expose_app(&["list"])),
        ("deploy-app list", person.deploy_app(&["list"])),
    ] {
        assert_eq!(
            (outcome.code, outcome.error()),
            (1, "error: your login has ended"),
            "{plugin}: {}{}",
            outcome.stdout,
            outcome.stderr
        );
        let errors = outcome
            .stderr
            .lines()
            .filter(|line| line.starts_with("error"));
        assert_eq!(errors.count(), 1, "{plugin}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains("hint: log in again"),
            "{plugin}: {}",
            outcome.stderr
        );
        assert_eq!(outcome.stdout, "", "{plugin}");
        assert_eq!(alice.text(), text, "{plugin} has changed the kubeconfig");
    }
    alice.is_as_it_was_kept();
}

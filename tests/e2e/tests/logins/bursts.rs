//! At the end of an id-token many commands want the next one at once, and the refresh token counts once.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use e2e::{Outcome, Person, Stage, rounds};
use test_cluster::{Login, Realm};

use crate::logins::kubeconfig::{Kept, value};
use crate::logins::report;
use crate::logins::token::{self, LIFETIME};

/// Half of the bursts are spread over the token's end, by this between two commands.
const SPREAD: Duration = Duration::from_millis(50);

#[test]
fn twenty_commands_refresh_once() {
    let mut stage = Stage::new();
    let alice = Kept::by(&mut stage, "alice");
    let before = alice.refreshes();
    let mut expected = 0..=0;
    let ends = rounds(2, 20);
    for round in 0..ends {
        let spread = round % 2 == 1;
        let start = if spread { SPREAD * 30 } else { Duration::ZERO };
        // kubectl goes on with what ours has kept.
        let mut token = alice.id_token();
        alice.person.kubectl(&["get", "pods"]).ok();
        let kept = alice.id_token();
        if kept != token {
            // On a machine so busy that the commands of the last end took a token's whole life.
            let left = token::left(&token);
            assert!(left.is_zero(), "kubectl refreshed {left:?} before the end");
            expected = expected.start() + 1..=expected.end() + 1;
            token = kept;
        }
        token::wait_until_left(&token, start);
        let started = Instant::now();
        let outcomes = at_once(20, spread, || alice.person.share_db(&["list"]));
        let failed: Vec<_> = outcomes.iter().filter(|one| one.code != 0).collect();
        assert!(
            failed.is_empty(),
            "end {} of {ends}: {} of 20 failed: {}",
            round + 1,
            failed.len(),
            failed[0].stderr
        );
        // On a machine so busy that the next token ends meanwhile, it is refreshed too.
        let more = started.elapsed().as_secs() / (LIFETIME.as_secs() - 2);
        let more = usize::try_from(more).unwrap();
        expected = expected.start() + 1..=expected.end() + 1 + more;
        let after = alice.refreshes();
        let counted = after.succeeded - before.succeeded;
        assert!(
            expected.contains(&counted) && after.failed == before.failed,
            "end {} of {ends}: {expected:?} refreshes expected, and none that fails: {before:?} then {after:?}",
            round + 1,
        );
    }
    alice.is_as_it_was_kept();
    alice.person.kubectl(&["config", "view"]).ok();
    alice.person.kubectl(&["get", "pods"]).ok();
    report(&format!(
        "{ends} ends of an id-token, 20 commands of ours at each, kubectl in between: none failed, {} refreshes",
        alice.refreshes().succeeded - before.succeeded
    ));
}

/// What ours is compared with. Nothing is asserted: it is kubectl's own affair.
#[test]
fn five_kubectl_at_once_for_comparison() {
    let mut stage = Stage::new();
    let login = Login::Onyxia(Realm::SingleUse);
    let bob = stage.person_by("bob", login);
    let issuer = stage.cluster.issuer().unwrap();
    let mut text = String::from("five kubectl at once at the end of an id-token:");
    for _ in 0..rounds(1, 5) {
        let user = stage
            .cluster
            .add_user_with(&bob.name, Some("admin"), &[], login);
        user.unwrap_or_else(|error| panic!("{error}"));
        let count = || issuer.refreshes(Realm::SingleUse, &bob.name).unwrap();
        let before = count();
        token::wait_until_left(&id_token(&bob), Duration::ZERO);
        let outcomes = at_once(5, false, || bob.kubectl(&["get", "pods"]));
        let after = count();
        let failed: Vec<_> = outcomes.iter().filter(|one| one.code != 0).collect();
        token::wait_until_left(&id_token(&bob), Duration::ZERO);
        let next = bob.kubectl(&["get", "pods"]);
        let _ = write!(
            text,
            "\n  {} of 5 failed; refreshes: {} succeeded, {} refused; at the next end, kubectl alone {}",
            failed.len(),
            after.succeeded - before.succeeded,
            after.failed - before.failed,
            if next.code == 0 { "works" } else { "fails" },
        );
        for outcome in failed.into_iter().chain((next.code != 0).then_some(&next)) {
            let said = outcome.stderr.trim().lines().last().unwrap_or_default();
            let _ = write!(text, "\n    {said}");
        }
    }
    report(&text);
}

/// Runs a command so often at once.
fn at_once(count: u32, spread: bool, command: impl Fn() -> Outcome + Sync) -> Vec<Outcome> {
    thread::scope(|scope| {
        let running: Vec<_> = (0..count)
            .map(|number| {
                let command = &command;
                scope.spawn(move || {
                    if spread {
                        thread::sleep(SPREAD * number);
                    }
                    command()
                })
            })
            .collect();
        let ended = running.into_iter().map(|one| one.join().unwrap());
        ended.collect()
    })
}

fn id_token(person: &Person) -> String {
    let text = std::fs::read_to_string(&person.kubeconfig).unwrap();
    let token = value(&text, "id-token: ");
    token.expect("an id-token").to_owned()
}

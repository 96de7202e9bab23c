//! Ctrl-C while a login is being renewed: the new tokens are kept all the same.

use std::hash::{BuildHasher as _, RandomState};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use e2e::{Stage, rounds, run};

use crate::logins::kubeconfig::Kept;

#[test]
fn ctrl_c_during_a_refresh_loses_nothing() {
    let mut stage = Stage::new();
    let alice = Kept::by(&mut stage, "alice");
    let wanted = rounds(4, 60);
    let (mut tries, mut in_the_middle) = (0, 0);
    // As long as a command takes that has to refresh.
    alice.ends_now();
    let mut usual = alice.person.share_db(&["list"]).ok().took;
    while in_the_middle < wanted {
        tries += 1;
        assert!(
            tries <= wanted * 25,
            "only {in_the_middle} of {tries} were in the middle"
        );
        alice.ends_now();
        let (token, before) = (alice.id_token(), alice.refreshes());
        let moment = usual.mul_f64(part());
        let mut child = alice
            .person
            .plugin("share-db")
            .arg("list")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        thread::sleep(moment);
        let _ = run(Command::new("kill").args(["-INT", &child.id().to_string()]));
        let status = child.wait().unwrap();
        let interrupted = status.code() != Some(0);
        if !interrupted {
            usual = started.elapsed();
        }
        let after = alice.refreshes();
        let kept = alice.id_token() != token;
        assert_eq!(
            after.succeeded - before.succeeded,
            usize::from(kept),
            "the issuer gave new tokens, and they are not in the kubeconfig (after {moment:?}, {status})"
        );
        in_the_middle += usize::from(interrupted && kept);
        let next = alice.person.share_db(&["list"]);
        assert_eq!(
            next.code, 0,
            "the login is lost after Ctrl-C at {moment:?} ({status}): {}",
            next.stderr
        );
    }
    assert_eq!(alice.refreshes().failed, 0);
    alice.is_as_it_was_kept();
}

/// Some part of a whole.
fn part() -> f64 {
    let random = u32::try_from(RandomState::new().hash_one(0) >> 32).unwrap();
    f64::from(random) / f64::from(u32::MAX)
}

//! What stands in the way of keeping new tokens is found out before the refresh token is spent.

use std::fs::{self, File};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use e2e::{Stage, rounds};

use crate::logins::kubeconfig::Kept;

/// Makes the kubeconfig read-only, for root too, for the command that follows and for nobody else.
const READ_ONLY: &str = r#"f=$(readlink -f "$KUBECONFIG") && mount --bind "$f" "$f" && mount -o remount,bind,ro "$f" && exec "#;

#[test]
fn a_kubeconfig_that_cannot_be_written_costs_nothing() {
    let mut stage = Stage::new();
    let alice = Kept::by(&mut stage, "alice");
    alice.ends_now();
    let (text, before) = (alice.text(), alice.refreshes());
    for command in ["kubectl-share_db list", "kubectl-proxy_db pg"] {
        let outcome = alice.person.types(&format!("{READ_ONLY}{command}"));
        let outcome = outcome.fails(1, "error: the login cannot be renewed");
        assert!(
            outcome.stderr.contains("Read-only file system")
                && outcome.stderr.contains("hint: make that file writable"),
            "{}",
            outcome.stderr
        );
    }
    assert_eq!(alice.refreshes(), before, "a refresh token was spent");
    assert_eq!(alice.text(), text);
    alice.person.share_db(&["list"]).ok();
    assert_eq!(alice.refreshes().succeeded, before.succeeded + 1);
    alice.is_as_it_was_kept();
}

#[test]
fn a_lock_that_was_left_over_is_named_with_its_age() {
    let mut stage = Stage::new();
    let alice = Kept::by(&mut stage, "alice");
    alice.ends_now();
    let (text, before) = (alice.text(), alice.refreshes());
    let lock = alice.person.kubeconfig.with_file_name("config.lock");
    let then = SystemTime::now() - Duration::from_mins(125);
    File::create(&lock).unwrap().set_modified(then).unwrap();
    let outcome = alice.person.share_db(&["list"]);
    let outcome = outcome.fails(1, "error: the login cannot be renewed");
    let locked = outcome
        .stderr
        .lines()
        .find(|line| line.contains("is locked"));
    let locked = locked.unwrap_or_else(|| panic!("{}", outcome.stderr));
    let path = lock.display().to_string();
    assert!(locked.contains(&path) && locked.contains("2h"), "{locked}");
    assert!(lock.exists(), "it is not ours to remove");
    assert_eq!(alice.refreshes(), before, "a refresh token was spent");
    assert_eq!(alice.text(), text);
    // The hint is the way out.
    let rm = outcome
        .stderr
        .split('`')
        .find(|part| part.starts_with("rm "));
    alice.person.types(rm.expect("a command to remove it")).ok();
    alice.person.share_db(&["list"]).ok();
    alice.is_as_it_was_kept();
}

/// kubectl truncates a kubeconfig and then writes it.
#[test]
fn a_kubeconfig_that_is_being_written_is_read_again() {
    /// Longer than a file is empty when kubectl writes it, and far shorter than ours waits for it.
    const EMPTY: Duration = Duration::from_millis(30);
    /// What a machine that is too busy makes of it does not count.
    const TOO_LONG: Duration = Duration::from_millis(120);
    let mut stage = Stage::new();
    let alice = Kept::by(&mut stage, "alice");
    let text = alice.text();
    let stopped = AtomicBool::new(false);
    let longest = Mutex::new(Duration::ZERO);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stopped.load(Ordering::Relaxed) {
                let start = Instant::now();
                let file = File::options().write(true).truncate(true).open(&alice.file);
                file.unwrap();
                thread::sleep(EMPTY);
                fs::write(&alice.file, &text).unwrap();
                let mut longest = longest.lock().unwrap();
                *longest = start.elapsed().max(*longest);
                drop(longest);
                thread::sleep(EMPTY);
            }
        });
        let mut counted = 0;
        let outcome = loop {
            *longest.lock().unwrap() = Duration::ZERO;
            let outcome = alice.person.share_db(&["list"]);
            let usual = *longest.lock().unwrap() < TOO_LONG;
            counted += usize::from(usual);
            if (usual && outcome.code != 0) || counted == rounds(20, 200) {
                break outcome;
            }
        };
        stopped.store(true, Ordering::Relaxed);
        assert_eq!(
            outcome.code, 0,
            "the {counted}. of them: {}",
            outcome.stderr
        );
    });
}

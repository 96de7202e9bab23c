//! No core file holds a token or a password.

#![cfg(target_os = "linux")]

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use super::*;

/// Makes a shell with whose limit a program may write a core file, in an empty directory of its own.
fn shell(directory: &Path, script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("ulimit -c unlimited && {script}")])
        .current_dir(directory);
    shell
}

/// Whether a program that aborts leaves a core file on this machine.
fn cores_are_written(directory: &Path) -> bool {
    let ended = shell(directory, "kill -ABRT $$")
        .stderr(Stdio::null())
        .status()
        .expect("sh runs");
    if !ended.core_dumped() {
        let _ = writeln!(
            std::io::stderr(),
            "NOT TRIED: this machine writes no core files (ulimit -c: {ended})"
        );
    }
    ended.core_dumped()
}

#[test]
fn an_abort_leaves_no_core() {
    let directory = tempfile::tempdir().expect("a directory");
    if !cores_are_written(directory.path()) {
        return;
    }
    let server = own();
    let (running, _home) = command(&server, &["pg", "-o", "json"]);
    let mut aborting = shell(directory.path(), "exec \"$0\" \"$@\"");
    aborting.arg(running.get_program());
    with_its_words(&mut aborting, &running)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = aborting.spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe"))
        .read_line(&mut line)
        .expect("a line");
    kill_process(Pid::from_child(&child), Signal::ABORT).expect("it is there");
    let ended = child.wait().expect("it ends");
    assert_eq!(ended.signal(), Some(6), "{ended}");
    assert!(!ended.core_dumped(), "{ended}");
}

/// A program that is started beside the tunnel is as it would be without it.
#[test]
fn the_command_may_leave_a_core() {
    let directory = tempfile::tempdir().expect("a directory");
    if !cores_are_written(directory.path()) {
        return;
    }
    let server = own();
    let port = free_port().to_string();
    let script = "ulimit -c unlimited; sh -c 'kill -ABRT $$' 2>&1; true";
    let (mut command, _home) = command(
        &server,
        &["pg", "--port", &port, "-q", "--", "sh", "-c", script],
    );
    let output = command
        .current_dir(directory.path())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("core dumped"), "{output:?}");
}

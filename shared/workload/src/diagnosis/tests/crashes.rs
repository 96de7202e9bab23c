//! Containers that end, or cannot be started.

use super::*;

#[test]
fn a_crash_is_told_with_its_last_lines() {
    let end = json!({"exitCode": 1, "reason": "Error", "finishedAt": ago(3)});
    let mut state = deployment(json!({}), crashed(1, &end));
    let wanted = diagnose(&state).wants;
    assert_eq!(
        wanted,
        BTreeSet::from([Want::Log {
            pod: "web-new-a".into(),
            container: "c".into(),
            previous: false
        }])
    );
    state.more.logs.insert(
        ("web-new-a".into(), "c".into()),
        "Traceback (most recent call last):\n\n  File \"main.py\"\u{1b}[31m\nKeyError: 'DATABASE_URL'\n".into(),
    );
    check(
        &state,
        true,
        &[
            "container `c` of deployment/web crashes: exit code 1 (2 times)",
            "because the program reports a failure",
            "because it wrote last:",
            "| Traceback (most recent call last):",
            "|   File \"main.py\"[31m",
            "| KeyError: 'DATABASE_URL'",
            "do read all of it: `kubectl logs web-new-a -c c -n alice`",
        ],
    );
    assert!(diagnose(&state).wants.is_empty());
}

#[test]
fn one_crash_may_be_a_race_at_the_start() {
    let end = |seconds| json!({"exitCode": 1, "reason": "Error", "finishedAt": ago(seconds)});
    let down = |seconds| deployment(json!({}), json!({"state": {"terminated": end(seconds)}}));
    assert!(!told(&down(1)).0, "it will be started again");
    assert!(told(&down(9)).0, "it was not");
    let again = deployment(
        json!({}),
        json!({"restartCount": 1, "lastState": {"terminated": end(4)}, "state": {"running": {"startedAt": ago(3)}}}),
    );
    assert!(!told(&again).0, "it runs again and is given its time");
    let twice = deployment(
        json!({}),
        json!({"restartCount": 1, "state": {"terminated": end(1)}}),
    );
    assert!(told(&twice).0);
}

#[test]
fn too_little_memory() {
    let end = json!({"exitCode": 137, "reason": "OOMKilled", "finishedAt": ago(3)});
    let mut state = deployment(
        json!({"resources": {"limits": {"memory": "20Mi"}}}),
        crashed(2, &end),
    );
    state
        .more
        .logs
        .insert(("web-new-a".into(), "c".into()), String::new());
    check(
        &state,
        true,
        &[
            "container `c` of deployment/web was OOMKilled (3 times)",
            "because its limit is 20Mi",
            "because it wrote nothing",
            "do raise `spec.template.spec.containers[0].resources.limits.memory`",
        ],
    );
}

/// Nodes may miss why they killed, and say only that they did.
#[test]
fn too_little_memory_that_the_node_does_not_tell() {
    let end = json!({"exitCode": 137, "reason": "Error", "finishedAt": ago(3)});
    let limited = deployment(
        json!({"resources": {"limits": {"memory": "20Mi"}}}),
        crashed(2, &end),
    );
    check(
        &limited,
        true,
        &[
            "container `c` of deployment/web was OOMKilled (3 times)",
            "because its limit is 20Mi",
            "because the node says only that it was killed (SIGKILL), as is done to what passes its limit",
            "do raise `spec.template.spec.containers[0].resources.limits.memory`",
        ],
    );
    let unlimited = deployment(json!({}), crashed(2, &end));
    assert!(told(&unlimited).1.contains("crashes: exit code 137"));
}

#[test]
fn a_program_that_ends_without_an_error() {
    let end = json!({"exitCode": 0, "reason": "Completed", "finishedAt": ago(3)});
    let state = deployment(json!({}), crashed(1, &end));
    check(
        &state,
        true,
        &["container `c` of deployment/web exits with code 0 and is restarted (2 times)"],
    );
}

#[test]
fn exit_codes_have_meanings() {
    for (code, words) in [
        (2, "called wrongly"),
        (126, "cannot be executed"),
        (127, "not found"),
        (137, "killed"),
        (139, "memory that is not its own"),
        (143, "told to end"),
        (136, "signal 8"),
        (3, "reports a failure"),
    ] {
        assert!(
            crate::diagnosis::crash::meaning(code).contains(words),
            "{code}: {}",
            crate::diagnosis::crash::meaning(code)
        );
    }
}

#[test]
fn last_lines_tell_what_to_change() {
    for (line, hint) in [
        (
            "sh: can't create /var/x: Read-only file system",
            "mount an `emptyDir`",
        ),
        ("httpd: bind: Permission denied", "port below 1024"),
        (
            "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)",
            "port below 1024",
        ),
        (
            "Error: listen EACCES: permission denied 0.0.0.0:80",
            "port below 1024",
        ),
        (
            "    self.socket.bind(self.server_address)\nPermissionError: [Errno 13] Permission denied",
            "port below 1024",
        ),
        (
            "Error: listen EADDRINUSE: address already in use :::8000",
            "same port",
        ),
        (
            "PermissionError: [Errno 13] Permission denied: '/data/x'",
            "fsGroup",
        ),
        ("exec /v/x: exec format error", "docker buildx build"),
        (
            "psycopg2.OperationalError: could not translate host name \"db\" to address: Name or service not known",
            "check the address",
        ),
        (
            "Error: connect ECONNREFUSED 10.96.1.2:5432",
            "check the address",
        ),
    ] {
        let end = json!({"exitCode": 1, "reason": "Error", "finishedAt": ago(3)});
        let mut state = deployment(json!({}), crashed(1, &end));
        state.more.logs.insert(
            ("web-new-a".into(), "c".into()),
            format!("starting\n{line}\n"),
        );
        let (_, text) = told(&state);
        assert!(text.contains(hint), "{line}: {text}");
    }
}

#[test]
fn a_command_that_is_not_in_the_image() {
    let message = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"pyton\": executable file not found in $PATH: unknown";
    let container = json!({"command": ["pyton", "main.py"]});
    let lines = [
        "container `c` of deployment/web cannot be started",
        "because there is no program `pyton` in image `busybox:1`",
        "do correct `spec.template.spec.containers[0].command`, or `spec.template.spec.containers[0].args`",
    ];
    let end =
        json!({"exitCode": 128, "reason": "StartError", "message": message, "finishedAt": ago(1)});
    check(
        &deployment(container.clone(), json!({"state": {"terminated": end}})),
        true,
        &lines,
    );
    check(
        &deployment(container.clone(), waiting("RunContainerError", message)),
        true,
        &lines,
    );
    check(&deployment(container, crashed(1, &end)), true, &lines);
}

#[test]
fn a_command_in_one_string() {
    let message = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"python main.py\": executable file not found in $PATH: unknown";
    let state = deployment(
        json!({"command": ["python main.py"]}),
        waiting("RunContainerError", message),
    );
    let (_, text) = told(&state);
    assert!(text.contains("as separate items"), "{text}");
}

#[test]
fn a_file_that_is_no_program() {
    let state = deployment(
        json!({"command": ["/etc/passwd"]}),
        waiting(
            "RunContainerError",
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/etc/passwd\": permission denied: unknown",
        ),
    );
    check(
        &state,
        true,
        &[
            "container `c` of deployment/web cannot be started",
            "because `/etc/passwd` may not be executed: it is not a program, lacks the permission `x`, or is a directory",
        ],
    );
}

#[test]
fn a_directory_mounted_over_a_file() {
    let state = deployment(
        json!({}),
        waiting(
            "RunContainerError",
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: error mounting \"/var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/v\" to rootfs at \"/etc/passwd\": mount /var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/v:/etc/passwd (via /proc/self/fd/6), flags: 0x5000: not a directory: unknown",
        ),
    );
    check(
        &state,
        true,
        &[
            "container `c` of deployment/web cannot be started",
            "because what is mounted at `/etc/passwd` is a directory and what the image has there a file, or the reverse",
        ],
    );
}

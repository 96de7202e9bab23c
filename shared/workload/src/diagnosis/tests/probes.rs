//! Probes that fail.

use super::*;

#[test]
fn a_readiness_probe_that_is_refused_is_never_final() {
    let container = json!({"readinessProbe": {"httpGet": {"path": "/health", "port": 8000}}});
    let mut state = deployment(
        container,
        json!({"state": {"running": {"startedAt": ago(60)}}}),
    );
    assert!(diagnose(&state).findings.is_empty(), "nothing has failed");
    state.events = vec![event(
        "Unhealthy",
        "Readiness probe failed: Get \"http://10.244.0.27:8000/health\": dial tcp 10.244.0.27:8000: connect: connection refused",
        25,
        1,
    )];
    check(
        &state,
        false,
        &[
            "container `c` of deployment/web runs, but does not pass its readiness probe",
            "because `GET /health` on port 8000 is refused: nothing listens there at the pod's address",
            "do if it listens on another port, correct `spec.template.spec.containers[0].readinessProbe.httpGet.port`",
            "do if it listens on 127.0.0.1 (or localhost), let it listen on 0.0.0.0: only that is seen from outside",
        ],
    );
}

#[test]
fn a_page_that_is_not_there_is_final_after_a_while() {
    let container = json!({"readinessProbe": {"httpGet": {"path": "/health", "port": "http"}}});
    let state = |code: u16, seconds| {
        let mut state = deployment(
            container.clone(),
            json!({"state": {"running": {"startedAt": ago(seconds)}}}),
        );
        state.events = vec![event(
            "Unhealthy",
            &format!("Readiness probe failed: HTTP probe failed with statuscode: {code}"),
            5,
            1,
        )];
        state
    };
    let lines = [
        "container `c` of deployment/web runs, but does not pass its readiness probe",
        "because `GET /health` on port http is answered with 404",
        "do correct the path: `spec.template.spec.containers[0].readinessProbe.httpGet.path`",
    ];
    check(&state(404, 9), true, &lines);
    check(&state(404, 3), false, &lines);
    assert!(!told(&state(503, 60)).0, "it may still come up");
    assert!(told(&state(401, 60)).1.contains("needs no login"));
}

#[test]
fn other_ways_to_fail_a_probe() {
    for (message, words) in [
        (
            "Readiness probe failed: Get \"http://10.0.0.1:8000/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            "gets no answer in time",
        ),
        (
            "Readiness probe failed: dial tcp 10.0.0.1:5432: i/o timeout",
            "gets no answer in time",
        ),
        (
            "Readiness probe failed: Get \"https://10.0.0.1:8000/\": http: server gave HTTP response to HTTPS client",
            "readinessProbe.httpGet.scheme` to `HTTP`",
        ),
        (
            "Readiness probe failed: cat: can't open '/tmp/ready': No such file or directory\n",
            "fails: cat: can't open '/tmp/ready': No such file or directory",
        ),
        (
            "Readiness probe errored and resulted in unknown state: rpc error: code = Unknown",
            "rpc error",
        ),
    ] {
        let container = json!({"readinessProbe": {"httpGet": {"port": 8000}}});
        let mut state = deployment(
            container,
            json!({"state": {"running": {"startedAt": ago(9)}}}),
        );
        state.events = vec![event("Unhealthy", message, 5, 1)];
        let (is_final, text) = told(&state);
        assert!(!is_final && text.contains(words), "{message}: {text}");
    }
}

#[test]
fn a_liveness_probe_that_kills() {
    let container = json!({"livenessProbe": {"tcpSocket": {"port": 8000}}});
    let end = json!({"exitCode": 137, "reason": "Error", "finishedAt": ago(3)});
    let mut state = deployment(container, crashed(1, &end));
    state.events = vec![
        event(
            "Unhealthy",
            "Liveness probe failed: dial tcp 10.244.0.29:8000: connect: connection refused",
            6,
            4,
        ),
        event(
            "Killing",
            "Container c failed liveness probe, will be restarted",
            2,
            4,
        ),
    ];
    check(
        &state,
        true,
        &[
            "container `c` of deployment/web is killed again and again: it does not pass its liveness probe",
            "because a connection to port 8000 is refused: nothing listens there at the pod's address",
        ],
    );
}

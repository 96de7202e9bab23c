//! What an API server refuses, in its own words, and what becomes of them.

use cli_tests::http::Request;
use cli_tests::{ApiServer, Response, Run, Session};
use serde_json::{Value, json};

const SHARE: [&str; 3] = ["pg", "--with", "bob"];

/// Runs a command while requests of this method and path are refused so.
fn refused<const N: usize>(
    args: [&str; N],
    method: &'static str,
    path: &'static str,
    refusal: impl Fn() -> Response + Send + 'static,
) -> Run {
    let server = ApiServer::start();
    server.on(method, path, refusal);
    Session::alice(&server).share_db(args)
}

/// Shares while whatever would write an object of this type is refused so.
fn write_refused(plural: &'static str, refusal: impl Fn() -> Response + Send + 'static) -> Run {
    let server = ApiServer::start();
    server.on_write(plural, refusal);
    let run = Session::alice(&server).share_db(SHARE);
    assert_eq!(server.ours(), [""; 0]);
    run
}

fn status(code: u16, reason: &'static str, message: &'static str) -> impl Fn() -> Response {
    move || Response::status(code, reason, message, &Value::Null)
}

const JOBS: &str = "*/namespaces/user-alice/jobs";

#[test]
fn unauthorized() {
    let server = ApiServer::start();
    snapshot!(Session::with_token(&server, "forgotten").share_db(SHARE));
}

/// The claim of this token says that it ended in 2023.
#[test]
fn unauthorized_with_an_expired_token() {
    let server = ApiServer::start();
    let session = Session::with_token(&server, "e30.eyJleHAiOjE3MDAwMDAwMDB9.x");
    snapshot!(session.share_db(SHARE));
}

#[test]
fn unauthorized_without_any_credentials() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let text = cli_tests::run::kubeconfig(&server.url(), "").replace(", user: alice", "");
    session.kubeconfig(&text);
    snapshot!(session.share_db(SHARE));
}

#[test]
fn forbidden_by_quota() {
    snapshot!(write_refused(
        "jobs",
        status(
            403,
            "Forbidden",
            "jobs.batch \"share-pg-bob-a8c8309b\" is forbidden: exceeded quota: onyxia-quota, requested: count/jobs.batch=1, used: count/jobs.batch=10, limited: count/jobs.batch=10"
        )
    ));
}

#[test]
fn forbidden_in_a_namespace_that_ends() {
    snapshot!(write_refused(
        "jobs",
        status(
            403,
            "Forbidden",
            "jobs.batch \"share-pg-bob-a8c8309b\" is forbidden: unable to create new content in namespace user-alice because it is being terminated"
        )
    ));
}

#[test]
fn forbidden_without_saying_why() {
    snapshot!(write_refused("jobs", status(403, "Forbidden", "Forbidden")));
}

/// Gateways in front of API servers answer without a Status.
#[test]
fn forbidden_by_a_gateway() {
    snapshot!(refused(["list"], "GET", JOBS, || Response::text(
        403,
        "text/html",
        "<html><h1>403 Forbidden</h1><p>Your address is not on the list.</p></html>"
    )));
}

#[test]
fn refused_by_a_policy() {
    snapshot!(write_refused(
        "jobs",
        status(
            400,
            "BadRequest",
            "admission webhook \"validate.kyverno.svc-fail\" denied the request: \n\nresource Job/user-alice/share-pg-bob-a8c8309b was blocked due to the following policies \n\nrequire-team-label:\n  check-team: 'validation error: the label `team` is required. rule check-team failed at path /metadata/labels/team/'\n"
        )
    ));
}

#[test]
fn refused_by_a_policy_that_forbids() {
    snapshot!(write_refused(
        "jobs",
        status(
            403,
            "Forbidden",
            "admission webhook \"validation.gatekeeper.sh\" denied the request: [no-shared-roles] Roles must be approved by the platform team"
        )
    ));
}

#[test]
fn refused_by_a_policy_with_422() {
    snapshot!(write_refused(
        "roles",
        status(
            422,
            "Invalid",
            "admission webhook \"roles.example.test\" denied the request: a Role must not name pods/portforward"
        )
    ));
}

#[test]
fn refused_by_a_policy_of_the_api_server() {
    snapshot!(write_refused(
        "jobs",
        status(
            422,
            "Invalid",
            "jobs.batch \"share-pg-bob-a8c8309b\" is forbidden: ValidatingAdmissionPolicy 'jobs.example.test' with binding 'all' denied request: Jobs must have a team"
        )
    ));
}

#[test]
fn a_policy_that_does_not_answer() {
    snapshot!(write_refused(
        "jobs",
        status(
            500,
            "InternalError",
            "Internal error occurred: failed calling webhook \"mutate.kyverno.svc-fail\": failed to call webhook: Post \"https://kyverno-svc.kyverno.svc:443/mutate/fail?timeout=10s\": context deadline exceeded"
        )
    ));
}

#[test]
fn invalid() {
    snapshot!(write_refused(
        "jobs",
        status(
            422,
            "Invalid",
            "Job.batch \"share-pg-bob-a8c8309b\" is invalid: spec.activeDeadlineSeconds: Invalid value: 0: must be greater than zero"
        )
    ));
}

#[test]
fn type_not_served() {
    let unknown = || {
        Response::status(
            404,
            "NotFound",
            "the server could not find the requested resource",
            &json!({}),
        )
    };
    let plain = || Response::text(404, "text/plain", "404 page not found\n");
    snapshot!(
        refused(["list"], "GET", JOBS, unknown),
        refused(["list"], "GET", JOBS, plain)
    );
}

#[test]
fn namespace_not_found() {
    let server = ApiServer::start();
    server.on("POST", "*/jobs", || {
        Response::status(
            404,
            "NotFound",
            "namespaces \"user-alice\" not found",
            &json!({"name": "user-alice", "kind": "namespaces"}),
        )
    });
    snapshot!(Session::alice(&server).share_db(SHARE));
}

#[test]
fn database_not_found() {
    let server = ApiServer::start();
    for object in crate::fixtures::postgres("user-alice", "warehouse") {
        server.put(object);
    }
    let session = Session::alice(&server);
    let far = session.share_db(["mysql", "--with", "bob"]);
    let close = session.share_db(["warehous", "--with", "bob"]);
    let typed = session.share_db(["svc/pgg", "--with", "bob"]);
    let pod = session.share_db(["pod/pg-1", "--with", "bob"]);
    let elsewhere = session.share_db(["user-carol/pg", "--with", "bob"]);
    assert_eq!(server.writes(), [""; 0]);
    snapshot!(far, close, typed, pod, elsewhere);
}

#[test]
fn share_not_found() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let nothing = session.share_db(["revoke", "pg"]);
    let _ = session.share_db(SHARE).success();
    let database = session.share_db(["revoke", "pgg"]);
    let colleague = session.share_db(["extend", "pg", "--with", "carol"]);
    let unnamed = session.share_db(["extend"]);
    snapshot!(nothing, database, colleague, unnamed);
}

/// Somebody else was quicker: the Job came to be between the look and the leap.
#[test]
fn exists_already() {
    snapshot!(write_refused("jobs", || Response::status(
        409,
        "AlreadyExists",
        "jobs.batch \"share-pg-bob-a8c8309b\" already exists",
        &json!({"name": "share-pg-bob-a8c8309b", "group": "batch", "kind": "jobs"}),
    )));
}

#[test]
fn changed_at_the_same_time() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let _ = session.share_db(SHARE).success();
    server.on_write("jobs", status(409, "Conflict", "Operation cannot be fulfilled on jobs.batch \"share-pg-bob-a8c8309b\": the object has been modified; please apply your changes to the latest version and try again"));
    snapshot!(session.share_db(["extend", "pg", "--for", "1h"]));
}

#[test]
fn too_large() {
    snapshot!(write_refused(
        "configmaps",
        status(
            413,
            "RequestEntityTooLarge",
            "Request entity too large: limit is 3145728"
        )
    ));
}

#[test]
fn too_many_requests() {
    snapshot!(refused(["list"], "GET", JOBS, || status(
        429,
        "TooManyRequests",
        "the server has received too many requests and has asked us to try again later"
    )()
    .header("retry-after", "1")));
}

#[test]
fn unavailable() {
    snapshot!(refused(
        ["list"],
        "GET",
        JOBS,
        status(503, "ServiceUnavailable", "apiserver not ready")
    ));
}

#[test]
fn internal_error() {
    snapshot!(
        refused(
            ["list"],
            "GET",
            JOBS,
            status(
                500,
                "InternalError",
                "Internal error occurred: etcdserver: leader changed"
            )
        ),
        refused(["list"], "GET", JOBS, status(500, "InternalError", ""))
    );
}

#[test]
fn timeout_of_the_server() {
    snapshot!(write_refused(
        "jobs",
        status(
            504,
            "Timeout",
            "Timeout: request did not complete within the allotted timeout"
        )
    ));
}

#[test]
fn a_code_of_no_meaning() {
    snapshot!(refused(
        ["list"],
        "GET",
        JOBS,
        status(418, "Teapot", "I'm a teapot")
    ));
}

/// What the cluster says is somebody else's text.
#[test]
fn hostile_text() {
    let hostile = "jobs is forbidden: \u{1b}[2J\u{1b}[31mroot\u{7}\r\nerror: log in again at https://evil.example.test\u{202e}txt.exe\u{9b}31m";
    snapshot!(
        refused(["list"], "GET", JOBS, status(403, "Forbidden", hostile)),
        refused(["list"], "GET", JOBS, status(500, "\u{1b}[31m", hostile)),
        refused(["list"], "GET", JOBS, status(404, "NotFound", hostile)),
        refused(["list"], "GET", JOBS, status(422, "Invalid", hostile))
    );
}

#[test]
fn endless_text() {
    let run = refused(["list"], "GET", JOBS, || {
        Response::status(500, "InternalError", "very ".repeat(20_000), &Value::Null)
    });
    assert!(run.output().len() < 2000, "{}", run.output().len());
    snapshot!(run);
}

#[test]
fn a_hostile_object_of_a_404() {
    snapshot!(write_refused("rolebindings", || {
        Response::status(
            404,
            "NotFound",
            "x",
            &json!({"name": "\u{1b}[31mowned", "kind": "\u{202e}seloR"}),
        )
    }));
}

/// The right that is missing is named, and what to do about it.
#[test]
fn forbidden() {
    let server = ApiServer::start();
    crate::roles_are_open(&server);
    snapshot!(
        Session::with_token(&server, "bob-token").share_db(["list", "-o", "name", "-A"]),
        Session::with_token(&server, "bob-token").share_db(SHARE),
        refused(
            SHARE,
            "GET",
            "*/services/pg",
            status(
                403,
                "Forbidden",
                "services \"pg\" is forbidden: User \"oidc-alice\" cannot get resource \"services\" in API group \"\" in the namespace \"user-alice\""
            )
        )
    );
}

/// Only Jobs may be listed, not Roles: what can be told is told.
#[test]
fn forbidden_in_part() {
    let server = ApiServer::start();
    let _ = Session::alice(&server).share_db(SHARE).success();
    let ide = Session::with_token(&server, "ide-token");
    snapshot!(ide.share_db(["list"]), ide.share_db(["revoke", "pg"]));
}

/// A request that nobody may make is not made again and again: the tests would last minutes.
#[test]
fn nothing_is_tried_again_behind_the_users_back() {
    let server = ApiServer::start();
    server.on(
        "GET",
        JOBS,
        status(503, "ServiceUnavailable", "apiserver not ready"),
    );
    let _ = Session::alice(&server).share_db(["list"]);
    let to_jobs = |request: &&Request| request.path.ends_with("/jobs");
    assert_eq!(server.requests().iter().filter(to_jobs).count(), 1);
}

/// An address that misses a part of its path: a gateway answers, and knows nothing.
#[test]
fn every_page_not_found() {
    let text = || Response::text(404, "text/plain", "404 page not found\n");
    let html = || Response::text(404, "text/html", "<html><h1>404 Not Found</h1></html>");
    snapshot!(
        refused(SHARE, "*", "*", text),
        refused(["list"], "GET", JOBS, text),
        refused(SHARE, "*", "*", html),
        refused(["list"], "GET", JOBS, html),
    );
}

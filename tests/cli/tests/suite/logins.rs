//! Logins at an issuer that answers oddly or not at all; what a real one answers is tried on the node.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cli_tests::http::Server;
use cli_tests::run::kubeconfig;
use cli_tests::{ApiServer, Request, Response, Run, Session};
use serde_json::json;

/// A token that says this of itself.
fn token(claims: &serde_json::Value) -> String {
    format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// Alice, whose id-token has ended, at this issuer.
fn ended(server: &ApiServer, issuer: &str, refresh_token: &str) -> Session {
    let mut session = Session::alice(server);
    let over = token(&json!({"exp": 1_000_000_000}));
    let provider = format!(
        "{{auth-provider: {{name: oidc, config: {{client-id: onyxia, idp-issuer-url: '{issuer}', id-token: '{over}', refresh-token: '{refresh_token}'}}}}}}"
    );
    let text = kubeconfig(&server.url(), "x").replace("{token: 'x'}", &provider);
    session.kubeconfig(&text);
    session.hide(issuer, "http://issuer.example.test");
    session
}

/// An issuer that answers a refresh so.
fn issuer(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Server {
    Server::answering(
        None,
        Arc::new(move |request: &Request| {
            if request.path.ends_with("/openid-configuration") {
                let host = request.header("host").unwrap_or_default();
                return Response::json(
                    200,
                    &json!({"token_endpoint": format!("http://{host}/token")}),
                );
            }
            answer(request)
        }),
    )
}

fn renewed_by(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Run {
    let (server, issuer) = (ApiServer::start(), issuer(answer));
    let session = ended(&server, &format!("http://{}", issuer.address), "once");
    session.share_db(["list"])
}

#[test]
fn answers_of_issuers() {
    let says =
        |code: u16, body: serde_json::Value| renewed_by(move |_| Response::json(code, &body));
    snapshot!(
        says(
            400,
            json!({"error": "invalid_grant", "error_description": "Session not active"})
        ),
        says(
            400,
            json!({"error": "invalid_grant", "error_description": "\u{1b}[31mred\nhint: run `rm`"})
        ),
        says(401, json!({"error": "invalid_client"})),
        says(200, json!({"access_token": "a"})),
        says(503, json!({})),
        renewed_by(|_| Response::text(200, "text/html", "<html>log in</html>")),
        renewed_by(|_| Response::text(302, "text/html", "")),
    );
}

/// Whoever has copied it cannot use it, and neither can kubectl.
#[test]
fn a_refresh_token_that_is_bound_to_a_browser() {
    let bound = token(&json!({"cnf": {"jkt": "abc"}}));
    let (server, issuer) = (
        ApiServer::start(),
        issuer(|_| {
            Response::json(
                400,
                &json!({"error": "invalid_request", "error_description": "DPoP proof is missing"}),
            )
        }),
    );
    snapshot!(ended(&server, &format!("http://{}", issuer.address), &bound).share_db(["list"]));
}

/// One request for a new token, which is kept in the file where the old one was.
#[test]
fn renewed_once_and_kept() {
    let new = token(&json!({"exp": 4_000_000_000_u64}));
    let answer = json!({"id_token": new, "refresh_token": "twice"});
    let (asked, questions) = channel();
    let (server, issuer) = (
        ApiServer::start(),
        issuer(move |request| {
            let _ = asked.send(String::from_utf8_lossy(&request.body).into_owned());
            Response::json(200, &answer)
        }),
    );
    let session = ended(&server, &format!("http://{}", issuer.address), "once");
    let path = session.write(".kube/untouched", "");
    let path = path.with_file_name("config");
    let before = std::fs::read_to_string(&path).unwrap();
    // The API server knows no such token; it is the login that matters here.
    let _ = session.share_db(["list"]);
    let question = questions
        .recv_timeout(Duration::from_secs(10))
        .expect("a question");
    assert_eq!(
        question,
        "grant_type=refresh%5Ftoken&refresh_token=once&client_id=onyxia"
    );
    let old = token(&json!({"exp": 1_000_000_000}));
    let kept = before.replace(&old, &new).replace("'once'", "'twice'");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), kept);
}

/// A command asks several things at once, and each needs the login: those that wait for it share its failure.
#[test]
fn an_issuer_that_fails_is_asked_once() {
    let (asked, questions) = channel();
    let run = renewed_by(move |_| {
        let _ = asked.send(());
        std::thread::sleep(Duration::from_millis(300));
        Response::json(503, &json!({}))
    });
    assert_eq!(run.code(), 1, "{run}");
    assert_eq!(questions.try_iter().count(), 1);
}

#[test]
fn interrupted_while_the_issuer_does_not_answer() {
    let (arrived, connections) = channel();
    let silent = Server::each_connection(move |stream| {
        let _ = arrived.send(stream);
    });
    let server = ApiServer::start();
    let session = ended(&server, &format!("http://{}", silent.address), "once");
    let running = session.spawn("share-db", ["list"]);
    let _open = connections
        .recv_timeout(Duration::from_secs(10))
        .expect("a connection");
    running.interrupt();
    assert_eq!(running.finish().code(), 130);
}

/// Another command renews the same login, and was stopped in the middle of it.
#[test]
fn interrupted_while_another_one_renews() {
    let server = ApiServer::start();
    let session = ended(&server, "http://127.0.0.1:1", "once");
    let path = session
        .write(".kube/untouched", "")
        .with_file_name("config");
    let held = std::fs::File::open(&path).unwrap();
    held.lock().unwrap();
    let running = session.spawn("share-db", ["list"]);
    running.opens(&path);
    running.interrupt();
    assert_eq!(running.finish().code(), 130);
}

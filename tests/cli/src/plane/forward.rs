//! A request on its way to the API server and back.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use ureq::{Body, http};

use super::objects::ALICE;
use super::server::Shared;
use super::world::Addon;
use super::{body_of, plane, pods, text};
use crate::http::{Request, Response};
use crate::merge_patch::merge;

/// What is passed on of a request's headers.
const PASSED_ON: [&str; 7] = [
    "accept",
    "authorization",
    "content-type",
    "user-agent",
    "impersonate-user",
    "impersonate-group",
    "impersonate-uid",
];

/// A watch that is open; nobody writes to it any more when it is empty.
pub(super) type Watch = Arc<Mutex<Option<Sender<String>>>>;

/// The answer of the API server, as the test is to see it.
pub(super) fn forward(shared: &Arc<Shared>, request: &Request) -> Response {
    shared.prepare();
    if let Some(answer) = pods::answer(shared, request) {
        return answer;
    }
    let answer = send(shared, request, &request.method, &request.target);
    let code = answer.status().as_u16();
    if code < 400 && is_hidden(shared, request) {
        return Response::text(404, "text/plain", "404 page not found\n");
    }
    if code == 200 && request.query("watch").is_some() {
        return watch(shared, request, answer);
    }
    let answer = whole(shared, request, answer);
    if code < 300 && request.is_write() && changes_rights(request) {
        plane().wait_for_rights();
    }
    answer
}

/// Sends it on, in the API server's names.
pub(super) fn send(
    shared: &Shared,
    request: &Request,
    method: &str,
    target: &str,
) -> http::Response<Body> {
    let mut headers: Vec<(&str, String)> = request
        .headers
        .iter()
        .filter(|(name, _)| {
            PASSED_ON.contains(&name.as_str()) || name.starts_with("impersonate-extra-")
        })
        .map(|(name, value)| (name.as_str(), shared.hide(value)))
        .collect();
    for (name, value) in &mut headers {
        if *name == "authorization" && value == "Bearer ide-token" {
            *value = format!("Bearer {}", ide_token(shared));
        }
    }
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let body = body(shared, request);
    plane().send(method, &shared.hide(target), &headers, body.as_deref())
}

/// A token of the ServiceAccount `vscode`.
fn ide_token(shared: &Shared) -> String {
    let ask = || {
        let path = format!(
            "/api/v1/namespaces/{}/serviceaccounts/vscode/token",
            shared.names().real(ALICE)
        );
        let request = json!({"spec": {"expirationSeconds": 3600}});
        let (code, answer) = plane().root("POST", &path, Some(("application/json", &request)));
        assert_eq!(code, 201, "{answer}");
        text(&answer["status"]["token"])
    };
    shared.ide_token.get_or_init(ask).clone()
}

/// The body as it is sent on: with what policies make of it.
fn body(shared: &Shared, request: &Request) -> Option<Vec<u8>> {
    if request.body.is_empty() {
        return None;
    }
    let hidden = shared.hide(&String::from_utf8_lossy(&request.body));
    let Ok(mut object) = serde_json::from_str::<Value>(&hidden) else {
        return Some(hidden.into_bytes());
    };
    if request.method == "PUT"
        && let Some(metadata) = object["metadata"].as_object_mut()
    {
        // It was read as the test's clock has it.
        metadata.remove("creationTimestamp");
    }
    if request.is_write() || request.is_dry_run() {
        admit(shared, request, &mut object);
    }
    Some(object.to_string().into_bytes())
}

/// What admission policies make of an object.
fn admit(shared: &Shared, request: &Request, object: &mut Value) {
    let inner = shared.inner();
    let segments = request.segments();
    for (plural, change) in &inner.rewrites {
        if segments.contains(plural) && ["POST", "PUT", "PATCH"].contains(&request.method.as_str())
        {
            if request.header("content-type") == Some("application/merge-patch+json") {
                lay_over(object, change);
            } else {
                merge(object, change);
            }
        }
    }
    let applied = request.header("content-type") == Some("application/apply-patch+yaml");
    let creates = request.method == "POST" || applied;
    let annotated = object["metadata"]["annotations"]["kubernetes.io/ingress.class"].is_string();
    if segments.iter().any(|part| part == "ingresses")
        && creates
        && !annotated
        && object["spec"]["ingressClassName"].is_null()
        && let Some(class) = &inner.default_ingress_class
    {
        object["spec"]["ingressClassName"] = json!(class);
    }
}

/// Puts one change on top of another one.
fn lay_over(patch: &mut Value, change: &Value) {
    match (patch, change) {
        (Value::Object(patch), Value::Object(change)) => {
            for (field, change) in change {
                lay_over(patch.entry(field).or_insert(Value::Null), change);
            }
        }
        (patch, change) => patch.clone_from(change),
    }
}

/// Whether it is about a part of the API that this cluster does not have.
fn is_hidden(shared: &Shared, request: &Request) -> bool {
    let segments = request.segments();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let needed = match &parts[..] {
        ["apis", "gateway.networking.k8s.io", .., "listenersets"]
        | ["apis", "gateway.networking.k8s.io", .., "listenersets", _] => Addon::ListenerSets,
        ["apis", "gateway.networking.k8s.io", ..] => Addon::GatewayApi,
        ["apis", "cert-manager.io" | "acme.cert-manager.io", ..] => Addon::CertManager,
        _ => return false,
    };
    !shared.inner().addons.contains(&needed)
}

fn content_type(answer: &http::Response<Body>) -> &'static str {
    let named = answer.headers().get("content-type");
    match named.and_then(|value| value.to_str().ok()) {
        Some(value) if value.starts_with("application/json") => "application/json",
        Some(_) => "text/plain",
        None => "",
    }
}

fn whole(shared: &Arc<Shared>, request: &Request, answer: http::Response<Body>) -> Response {
    let code = answer.status().as_u16();
    let kind = content_type(&answer);
    let passed_on: Vec<(&'static str, String)> = ["warning", "retry-after", "www-authenticate"]
        .into_iter()
        .flat_map(|name| {
            answer
                .headers()
                .get_all(name)
                .iter()
                .map(move |value| (name, value))
        })
        .filter_map(|(name, value)| Some((name, value.to_str().ok()?.to_owned())))
        .collect();
    let body = body_of(answer);
    let body = String::from_utf8_lossy(&body);
    let body = match serde_json::from_str::<Value>(&body) {
        Ok(mut object) => {
            keep_own(shared, request, &mut object);
            let mut object = shared.shown(&object);
            pretend(shared, request, &mut object);
            object.to_string()
        }
        Err(_) => shared.show(&body),
    };
    let response = Response::text(code, kind, body);
    passed_on
        .into_iter()
        .fold(response, |response, (name, value)| {
            response.header(name, shared.show(&value))
        })
}

/// Of what is listed everywhere, what is the test's own.
fn keep_own(shared: &Shared, request: &Request, list: &mut Value) {
    let segments = request.segments();
    if request.method != "GET"
        || segments.iter().any(|part| part == "namespaces") && segments.len() > 3
    {
        return;
    }
    if let Some(items) = list["items"].as_array_mut() {
        items.retain(|item| is_own(shared, item));
    }
}

fn is_own(shared: &Shared, object: &Value) -> bool {
    let metadata = &object["metadata"];
    let place = metadata["namespace"].as_str().or(metadata["name"].as_str());
    place.is_some_and(|place| shared.names().is_own(place))
}

/// Puts in what a test pretends, in an object or all of a list.
fn pretend(shared: &Shared, request: &Request, answer: &mut Value) {
    let inner = shared.inner();
    let segments = request.segments();
    for pretence in &inner.pretences {
        if !segments.iter().any(|part| part == pretence.plural) {
            continue;
        }
        let mut change = |object: &mut Value| {
            if pretence.uid.is_null() || object["metadata"]["uid"] == pretence.uid {
                merge(object, &pretence.change);
            }
        };
        match answer["items"].as_array_mut() {
            Some(items) => items.iter_mut().for_each(&mut change),
            None => change(answer),
        }
    }
}

/// Passes a watch on, a line each.
fn watch(shared: &Arc<Shared>, request: &Request, answer: http::Response<Body>) -> Response {
    let (sender, lines) = channel();
    let open: Watch = Arc::new(Mutex::new(Some(sender)));
    shared.inner().watches.push(open.clone());
    let (shared, request) = (Arc::downgrade(shared), request.clone());
    thread::spawn(move || {
        let events = BufReader::new(answer.into_body().into_reader());
        for event in events.lines().map_while(Result::ok) {
            let Some(shared) = shared.upgrade() else {
                break;
            };
            let Ok(mut event) = serde_json::from_str::<Value>(&event) else {
                break;
            };
            let is_somebodys = event["object"]["metadata"]["name"].is_string();
            if is_somebodys && !is_own(&shared, &event["object"]) {
                continue;
            }
            event = shared.shown(&event);
            pretend(&shared, &request, &mut event["object"]);
            let open = open.lock().expect("no holder panics");
            if open
                .as_ref()
                .is_none_or(|open| open.send(event.to_string()).is_err())
            {
                break;
            }
        }
        *open.lock().expect("no holder panics") = None;
    });
    Response::lines(lines)
}

/// Whether somebody may do something else from now on; what is said of a Role counts with its bindings.
fn changes_rights(request: &Request) -> bool {
    request.segments().iter().any(|part| part == "rolebindings")
}

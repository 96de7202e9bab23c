//! The API server: what it stores, whom it knows, what it allows, and what a test makes of it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{Request, Response, Server};
use crate::store::{Answer, State};
use crate::target::{REVIEWS, Target};

/// When the cluster's clock stands at the beginning of every test.
pub const START: &str = "2026-01-05T10:00:00Z";

/// What the cluster does with a new Job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobController {
    /// Starts it a moment later, as the stock one does.
    #[default]
    Starts,
    /// Nothing: it is down.
    Down,
    /// Suspends it at its creation, as Kueue does.
    Suspends,
    /// Removes `ttlSecondsAfterFinished` at its creation, as a policy may.
    StripsTtl,
}

/// A fake API server, running until it is dropped.
///
/// It knows `alice-token` (`oidc-alice`, admin of `user-alice`, where the database `pg` is), `bob-token` (`oidc-bob`, with no
/// rights), `ide-token` (a ServiceAccount with the role `view` in `user-alice`) and `root-token` (a cluster administrator).
pub struct ApiServer {
    shared: Arc<Shared>,
    server: Server,
    scheme: &'static str,
}

/// A test's own answer to some requests.
type Script = Box<dyn Fn(&Request) -> Option<Response> + Send>;

struct Shared {
    inner: Mutex<Inner>,
    asked: Condvar,
}

struct Inner {
    state: State,
    requests: Vec<Request>,
    scripts: Vec<Script>,
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no handler panics")
    }
}

impl ApiServer {
    /// Starts one without TLS.
    pub fn start() -> Self {
        Self::run(None)
    }

    /// Starts one with TLS.
    pub fn start_tls(tls: Arc<rustls::ServerConfig>) -> Self {
        Self::run(Some(tls))
    }

    fn run(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner {
                state: State::new(START.parse().unwrap()),
                requests: Vec::new(),
                scripts: Vec::new(),
            }),
            asked: Condvar::new(),
        });
        let answering = shared.clone();
        let server = Server::answering(
            tls,
            Arc::new(move |request| Shared::answer(&answering, request)),
        );
        Self {
            shared,
            server,
            scheme,
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.server.address)
    }

    /// `127.0.0.1:PORT`
    pub fn authority(&self) -> String {
        self.server.address.to_string()
    }

    /// What the cluster does with new Jobs.
    pub fn job_controller(&self, jobs: JobController) {
        self.shared.inner().state.jobs = jobs;
    }

    /// Leaves lying what deleted objects owned, as a garbage collector that lags does.
    pub fn keep_garbage(&self) {
        self.shared.inner().state.keeps_garbage = true;
    }

    /// Moves the cluster's clock; Jobs whose time is over end.
    pub fn advance(&self, seconds: i64) {
        self.shared.inner().state.advance(seconds);
    }

    /// Stores an object as it is, whoever it belongs to.
    pub fn put(&self, object: Value) {
        self.shared.inner().state.put(object);
    }

    /// An object as it is stored; null where there is none.
    pub fn object(&self, plural: &str, namespace: &str, name: &str) -> Value {
        let key = (namespace.into(), plural.into(), name.into());
        let inner = self.shared.inner();
        let stored = inner.state.objects.get(&key);
        stored.cloned().unwrap_or_default()
    }

    /// Removes an object and nothing else.
    pub fn remove(&self, plural: &str, namespace: &str, name: &str) {
        let key = (namespace.into(), plural.into(), name.into());
        self.shared
            .inner()
            .state
            .objects
            .remove(&key)
            .expect("it exists");
    }

    /// The names (`jobs/share-pg-bob`) of all objects that a plugin of the suite has made.
    pub fn ours(&self) -> Vec<String> {
        let inner = self.shared.inner();
        let ours = inner.state.objects.iter().filter(|(_, stored)| {
            stored["metadata"]["labels"]["app.kubernetes.io/managed-by"]
                .as_str()
                .is_some_and(|by| by.starts_with("kubectl-"))
        });
        ours.map(|((_, plural, name), _)| format!("{plural}/{name}"))
            .collect()
    }

    /// Answers by itself what the closure has an answer for; the latest such closure is asked first.
    pub fn script(&self, script: impl Fn(&Request) -> Option<Response> + Send + 'static) {
        self.shared.inner().scripts.push(Box::new(script));
    }

    /// Answers requests of this method (or `*`) whose path matches (`*` stands for anything) in this way.
    pub fn on(
        &self,
        method: &'static str,
        path: &'static str,
        answer: impl Fn() -> Response + Send + 'static,
    ) {
        self.script(move |request| {
            let fits = (method == "*" || method == request.method) && matches(path, &request.path);
            fits.then(&answer)
        });
    }

    /// Answers in this way whatever would make or change an object of this type.
    pub fn on_write(&self, plural: &'static str, answer: impl Fn() -> Response + Send + 'static) {
        self.script(move |request| {
            let writes = ["POST", "PUT", "PATCH"].contains(&request.method.as_str());
            let fits = writes && request.segments().iter().any(|part| part == plural);
            fits.then(&answer)
        });
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.inner().requests.clone()
    }

    /// All requests so far that would change something, a line each.
    pub fn writes(&self) -> Vec<String> {
        let requests = self.requests();
        let writes = requests.iter().filter(|request| request.is_write());
        writes.map(ToString::to_string).collect()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.shared.inner().requests.clear();
    }

    /// Waits until a request of this sort has come.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Request) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut inner = self.shared.inner();
        while !inner.requests.iter().any(&wanted) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no request came: {what}");
            inner = self.shared.asked.wait_timeout(inner, left).unwrap().0;
        }
    }
}

/// Whether text fits a pattern in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).any(|at| text.is_char_boundary(at) && matches(rest, &text[at..]))
        }),
    }
}

impl Shared {
    fn answer(shared: &Arc<Self>, request: &Request) -> Response {
        let mut inner = shared.inner();
        inner.requests.push(request.clone());
        shared.asked.notify_all();
        let scripted = inner
            .scripts
            .iter()
            .rev()
            .find_map(|script| script(request));
        let response = scripted.unwrap_or_else(|| {
            Self::honestly(shared, &mut inner.state, request).unwrap_or_else(|refusal| refusal)
        });
        let date = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&inner.state.now)
            .unwrap();
        response.header("date", date)
    }

    fn honestly(shared: &Arc<Self>, state: &mut State, request: &Request) -> Answer {
        let user = state.authenticate(request)?;
        let target = Target::of(request)?;
        if REVIEWS.contains(&(target.group.as_str(), target.plural.as_str())) {
            return state.review(&user, &target, &request.json());
        }
        let verb = match (request.method.as_str(), target.name.is_empty()) {
            ("GET", _) if request.query("watch").is_some() => "watch",
            ("GET", true) => "list",
            ("GET", false) => "get",
            ("POST", true) => "create",
            ("PUT", false) => "update",
            ("PATCH", false) => "patch",
            ("DELETE", false) => "delete",
            _ => {
                return Err(Response::status(
                    405,
                    "MethodNotAllowed",
                    "the server does not allow this method on the requested resource",
                    &json!({}),
                ));
            }
        };
        state.authorize(&user, &target.action(verb))?;
        match verb {
            "get" => Ok(Response::json(200, state.find(&target)?)),
            "list" => Ok(Response::json(200, &state.list(&target, request))),
            "watch" => Ok(state.watch(&target, request)),
            "delete" => state.delete(&target, request),
            "update" => state.update(&user, &target, request),
            "create" => {
                let response = state.create(&user, &target, request)?;
                if target.plural == "jobs" && !request.is_dry_run() {
                    Self::start_later(shared, &request.json(), &target);
                }
                Ok(response)
            }
            _ => state.merge(&target, request),
        }
    }

    /// The Job's controller is another program: it comes when the answer is already sent.
    fn start_later(shared: &Arc<Self>, job: &Value, target: &Target) {
        let shared = shared.clone();
        let name = job["metadata"]["name"].as_str().unwrap_or_default();
        let key = (target.namespace.clone(), "jobs".to_owned(), name.to_owned());
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            let state = &mut shared.inner().state;
            let now = json!(state.now.to_string());
            let Some(stored) = state.objects.get(&key) else {
                return;
            };
            if state.jobs == JobController::Down || stored["spec"]["suspend"] == true {
                return;
            }
            let mut job = stored.clone();
            job["status"]["startTime"] = now;
            state.store(&key, job);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_whole_paths() {
        assert!(matches("/api/*/pods/*", "/api/v1/namespaces/x/pods/pg-0"));
        assert!(!matches("/api/*/pods", "/api/v1/namespaces/x/pods/pg-0"));
        assert!(matches("*", "/"));
    }
}

//! The API server as one test has it: the control plane behind it, and before it what the test makes of it.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, Once, OnceLock};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::clock::Clock;
use super::fate::Fate;
use super::names::Names;
use super::objects::ALICE;
use super::world::{self, Addon, Answers, World};
use super::{forward, kubelet, text};
use crate::Stopwatch;
use crate::authority::TRUSTED;
use crate::http::{Request, Response, Server};

/// An API server, running until it is dropped.
///
/// It knows `alice-token` (`oidc-alice`, admin of `user-alice`, where the database `pg` is), `bob-token` (`oidc-bob`, with no
/// rights), `ide-token` (a ServiceAccount with the role `view` in `user-alice`) and `root-token` (a cluster administrator).
pub struct ApiServer {
    shared: Arc<Shared>,
    server: Server,
    scheme: &'static str,
}

/// What the cluster does with a new Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobController {
    /// Nothing: it is down.
    Down,
    /// Suspends it at its creation, as Kueue does.
    Suspends,
    /// Removes `ttlSecondsAfterFinished` at its creation, as a policy may.
    StripsTtl,
}

/// A test's own answer to some requests.
type Script = Box<dyn Fn(&Request) -> Option<Response> + Send>;

/// What is said of an object though it is not so.
pub(super) struct Pretence {
    pub(super) plural: &'static str,
    /// Of which object; null for all of the kind.
    pub(super) uid: Value,
    /// Merged into the object wherever it is in an answer.
    pub(super) change: Value,
}

pub(crate) struct Shared {
    names: Mutex<Names>,
    clock: Mutex<Clock>,
    inner: Mutex<Inner>,
    asked: Condvar,
    pub(super) prepared: Once,
    /// Held by whoever plays the kubelet.
    pub(super) caring: Mutex<()>,
    /// The token of the IDE's ServiceAccount.
    pub(super) ide_token: OnceLock<String>,
}

#[derive(Default)]
pub(crate) struct Inner {
    requests: Vec<Request>,
    scripts: Vec<Script>,
    pub(super) pretences: Vec<Pretence>,
    /// What policies merge into what is written, by kind.
    pub(super) rewrites: Vec<(String, Value)>,
    pub(super) default_ingress_class: Option<String>,
    pub(crate) addons: BTreeSet<Addon>,
    pub(crate) world: World,
    /// The watches that are open.
    pub(super) watches: Vec<forward::Watch>,
    /// Events that were reported.
    pub(super) reported: HashSet<String>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
}

impl Shared {
    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        locked(&self.inner)
    }

    pub(super) fn names(&self) -> MutexGuard<'_, Names> {
        locked(&self.names)
    }

    pub(super) fn clock(&self) -> MutexGuard<'_, Clock> {
        locked(&self.clock)
    }

    /// Text of the test's side as the API server is to get it.
    pub(super) fn hide(&self, text: &str) -> String {
        self.names().hide(text)
    }

    /// Text of the API server as the test is to see it.
    pub(super) fn show(&self, text: &str) -> String {
        let text = self.names().show(text);
        self.clock().show(&text)
    }

    /// An object as the test is to see it.
    pub(super) fn shown(&self, object: &Value) -> Value {
        serde_json::from_str(&self.show(&object.to_string())).expect("it was JSON before")
    }

    fn answer(self: &Arc<Self>, request: &Request) -> Response {
        let scripted = {
            let mut inner = self.inner();
            inner.requests.push(request.clone());
            self.asked.notify_all();
            let mut scripts = inner.scripts.iter().rev();
            scripts.find_map(|script| script(request))
        };
        let response = scripted.unwrap_or_else(|| forward::forward(self, request));
        let date = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&self.clock().now())
            .expect("a date");
        response.header("date", date)
    }
}

impl ApiServer {
    /// Starts one.
    pub fn start() -> Self {
        static TLS: LazyLock<Arc<rustls::ServerConfig>> =
            LazyLock::new(|| TRUSTED.server("127.0.0.1"));
        Self::run(Some(TLS.clone()))
    }

    /// Starts one with another certificate.
    pub fn start_tls(tls: Arc<rustls::ServerConfig>) -> Self {
        Self::run(Some(tls))
    }

    /// Starts one that speaks in the clear, to which nobody sends credentials.
    pub fn start_in_the_clear() -> Self {
        Self::run(None)
    }

    fn run(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            names: Mutex::new(Names::new(NUMBER.fetch_add(1, Ordering::Relaxed))),
            clock: Mutex::new(Clock::new()),
            inner: Mutex::default(),
            asked: Condvar::new(),
            prepared: Once::new(),
            caring: Mutex::default(),
            ide_token: OnceLock::new(),
        });
        let answering = shared.clone();
        let server = Server::answering(tls, Arc::new(move |request| answering.answer(request)));
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

    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// What is in the cluster, there from the first look at it.
    fn inside(&self) -> &Arc<Shared> {
        self.shared.prepare();
        &self.shared
    }

    /// Serves a part of the API that not every cluster has, and gives Alice the rights that come with it.
    pub fn serve(&self, addon: Addon) {
        self.shared.inner().addons.insert(addon);
        self.put(crate::fixtures::role_binding(
            ALICE,
            "addons",
            "addons",
            &crate::fixtures::user("oidc-alice"),
        ));
    }

    /// What becomes of the pods of an app (those whose names begin with its), from now on.
    pub fn fate(&self, app: &str, fate: Fate) {
        let shared = self.inside();
        shared.inner().world.fates.push((app.to_owned(), fate));
        let namespace = shared.names().real(ALICE);
        kubelet::look_again(shared, &namespace);
    }

    /// What becomes of the pods of an app that are not there yet; those that are stay as they are.
    pub fn fate_of_new(&self, app: &str, fate: Fate) {
        let shared = self.inside();
        let namespace = shared.names().real(ALICE);
        let pods = shared.objects("pods", &namespace);
        let mut inner = shared.inner();
        let stay: Vec<(String, Fate)> = pods
            .iter()
            .filter_map(|pod| pod["metadata"]["name"].as_str())
            .filter(|pod| world::is_of(pod, app))
            .map(|pod| (pod.to_owned(), inner.world.fate(pod)))
            .collect();
        inner.world.fates.push((app.to_owned(), fate));
        inner.world.fates.extend(stay);
    }

    /// What the log of an app's containers holds: of the present ones, and of the previous ones.
    pub fn log(&self, app: &str, present: &str, previous: &str) {
        let logs = (present.to_owned(), previous.to_owned());
        let world = &mut self.shared.inner().world;
        world.logs.insert(app.to_owned(), logs);
    }

    /// A program that listens on a port in every pod of an app.
    pub fn program(
        &self,
        app: &str,
        port: u16,
        answers: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) {
        let program = (app.to_owned(), port, Arc::new(answers) as Answers);
        self.shared.inner().world.programs.push(program);
    }

    /// Nothing listens in an app's pods any more.
    pub fn no_program(&self, app: &str) {
        let world = &mut self.shared.inner().world;
        world.programs.retain(|(of, ..)| of != app);
    }

    /// Fills in this class where an Ingress has none.
    pub fn default_ingress_class(&self, class: &str) {
        self.shared.inner().default_ingress_class = Some(class.to_owned());
    }

    /// The cluster has no default class.
    pub fn no_default_ingress_class(&self) {
        self.shared.inner().default_ingress_class = None;
    }

    /// A policy that merges this into every object of a kind that is written.
    pub fn rewrites(&self, plural: &str, change: Value) {
        let rewrites = &mut self.shared.inner().rewrites;
        rewrites.push((plural.to_owned(), change));
    }

    /// What the cluster does with new Jobs.
    pub fn job_controller(&self, jobs: JobController) {
        match jobs {
            JobController::Down => self.pretend("jobs", "*", json!({"status": null})),
            JobController::Suspends => self.rewrites("jobs", json!({"spec": {"suspend": true}})),
            JobController::StripsTtl => {
                self.rewrites("jobs", json!({"spec": {"ttlSecondsAfterFinished": null}}));
            }
        }
    }

    /// Says this of an object of Alice's though the API server has it otherwise; of all that there are and will be where the
    /// name is `*`.
    pub fn pretend(&self, plural: &'static str, name: &str, change: Value) {
        let mut uid = Value::Null;
        if name != "*" {
            uid = self.object(plural, ALICE, name)["metadata"]["uid"].take();
            assert!(!uid.is_null(), "{plural}/{name} is there");
        }
        let pretence = Pretence {
            plural,
            uid,
            change,
        };
        self.shared.inner().pretences.push(pretence);
    }

    /// Pretends nothing more.
    pub fn be_honest(&self) {
        self.shared.inner().pretences.clear();
    }

    /// Labels Alice's namespace, as the platform may.
    pub fn label_namespace(&self, label: &str, value: &str) {
        self.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ALICE, "labels": {label: value}}}));
    }

    /// Creates or replaces an object as `kubectl` would, and lets everybody do what is to be done about it.
    #[expect(clippy::needless_pass_by_value, reason = "tests read better so")]
    pub fn submit(&self, object: Value) {
        self.inside().write(&object, "kubectl-client-side-apply");
        self.settle();
    }

    /// Creates or replaces an object, whoever it belongs to; the API server has to take it.
    #[expect(clippy::needless_pass_by_value, reason = "tests read better so")]
    pub fn put(&self, object: Value) {
        self.inside().write(&object, "kubectl-create");
    }

    /// Waits until the controllers have done what they have to do.
    pub fn settle(&self) {
        self.inside().settle();
    }

    /// Ends all watches, as an API server does that is started anew.
    pub fn end_watches(&self) {
        for watch in self.shared.inner().watches.drain(..) {
            *watch.lock().expect("no holder panics") = None;
        }
    }

    /// The names of all objects of a kind in Alice's namespace, but for what every namespace has.
    pub fn names(&self, plural: &str) -> Vec<String> {
        let shared = self.inside();
        let namespace = shared.names().real(ALICE);
        let objects = shared.objects(plural, &namespace);
        let names = objects
            .iter()
            .map(|object| text(&object["metadata"]["name"]));
        names.filter(|name| name != "kube-root-ca.crt").collect()
    }

    /// What plugins can have made, each with its version, but for what controllers say: the same twice means that nothing was
    /// written.
    pub fn versions(&self) -> Vec<String> {
        let made = self.inside().made();
        made.into_iter()
            .map(|(name, mut object)| {
                object["status"] = Value::Null;
                object["metadata"]["managedFields"] = Value::Null;
                object["metadata"]["resourceVersion"] = Value::Null;
                format!("{name} {object}")
            })
            .collect()
    }

    /// Moves the cluster's clock; Jobs whose time is over end.
    pub fn advance(&self, seconds: i64) {
        let shared = self.inside();
        shared.clock().advance(SignedDuration::from_secs(seconds));
        shared.end_timers();
    }

    /// An object as it is stored; null where there is none.
    pub fn object(&self, plural: &str, namespace: &str, name: &str) -> Value {
        self.inside().object(plural, namespace, name)
    }

    /// Removes an object and nothing else.
    pub fn remove(&self, plural: &str, namespace: &str, name: &str) {
        self.inside().remove(plural, namespace, name);
    }

    /// The names (`jobs/share-pg-bob`) of all objects that a plugin of the suite has made.
    pub fn ours(&self) -> Vec<String> {
        self.inside().ours()
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

    /// Answers in this way whatever would make or change an object of this kind.
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
        let stopwatch = Stopwatch::start();
        let mut inner = self.shared.inner();
        while !inner.requests.iter().any(&wanted) {
            let is_over = stopwatch.is_over(Duration::from_secs(10));
            assert!(!is_over, "no request came: {what}");
            let a_while = Duration::from_millis(100);
            inner = self.shared.asked.wait_timeout(inner, a_while).unwrap().0;
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

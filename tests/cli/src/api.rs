//! The API server: what it stores, whom it knows, what it allows, and what a test makes of it.

use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::authority::TRUSTED;
use crate::controllers::{self, Fate};
use crate::discovery;
use crate::http::{Request, Response, Server};
use crate::rbac::User;
use crate::stopwatch::Stopwatch;
use crate::store::{Answer, State};
use crate::target::{Addon, REVIEWS, Target, not_served};

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

pub(crate) struct Shared {
    inner: Mutex<Inner>,
    asked: Condvar,
}

pub(crate) struct Inner {
    pub(crate) state: State,
    requests: Vec<Request>,
    scripts: Vec<Script>,
}

impl Shared {
    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no handler panics")
    }
}

impl ApiServer {
    /// Starts one without TLS.
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

    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Serves a part of the API that not every cluster has.
    pub fn serve(&self, addon: Addon) {
        self.shared.inner().state.addons.insert(addon);
    }

    /// What becomes of the pods of an app (those whose names begin with its), from now on.
    pub fn fate(&self, app: &str, fate: Fate) {
        let state = &mut self.shared.inner().state;
        state.world.fates.push((app.to_owned(), fate));
        controllers::reconcile(state);
    }

    /// What becomes of the pods of an app that are not there yet; those that are stay as they are.
    pub fn fate_of_new(&self, app: &str, fate: Fate) {
        let state = &mut self.shared.inner().state;
        let there: Vec<String> = state
            .objects
            .keys()
            .filter(|(_, plural, name)| plural == "pods" && controllers::is_of(name, app))
            .map(|(_, _, name)| name.clone())
            .collect();
        let stay = there.into_iter().map(|pod| {
            let fate = state.world.fate(&pod);
            (pod, fate)
        });
        let stay: Vec<(String, Fate)> = stay.collect();
        state.world.fates.push((app.to_owned(), fate));
        state.world.fates.extend(stay);
    }

    /// What the log of an app's containers holds: of the present ones, and of the previous ones.
    pub fn log(&self, app: &str, present: &str, previous: &str) {
        let logs = (present.to_owned(), previous.to_owned());
        self.shared
            .inner()
            .state
            .world
            .logs
            .insert(app.to_owned(), logs);
    }

    /// A program that listens on a port in every pod of an app.
    pub fn program(
        &self,
        app: &str,
        port: u16,
        answers: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) {
        let program = (
            app.to_owned(),
            port,
            Arc::new(answers) as controllers::Answers,
        );
        self.shared.inner().state.world.programs.push(program);
    }

    /// Nothing listens in an app's pods any more.
    pub fn no_program(&self, app: &str) {
        let programs = &mut self.shared.inner().state.world.programs;
        programs.retain(|(of, ..)| of != app);
    }

    /// No controller, scheduler or kubelet does anything.
    pub fn controllers_down(&self) {
        self.shared.inner().state.world.is_down = true;
    }

    /// Fills in this class where an Ingress has none.
    pub fn default_ingress_class(&self, class: &str) {
        self.shared.inner().state.policies.default_ingress_class = Some(class.to_owned());
    }

    /// The cluster has no default class.
    pub fn no_default_ingress_class(&self) {
        self.shared.inner().state.policies.default_ingress_class = None;
    }

    /// The admission webhook of ingress-nginx is there: no host and path twice.
    pub fn nginx_webhook(&self) {
        self.shared.inner().state.policies.nginx_webhook = true;
    }

    /// A policy that merges this into every object of a kind that is written.
    pub fn rewrites(&self, plural: &str, change: Value) {
        let policies = &mut self.shared.inner().state.policies;
        policies.rewrites.push((plural.to_owned(), change));
    }

    /// Labels Alice's namespace, as the platform may.
    pub fn label_namespace(&self, label: &str, value: &str) {
        let mut namespace = self.object("namespaces", "", "user-alice");
        namespace["metadata"]["labels"][label] = json!(value);
        self.put(namespace);
    }

    /// Creates or replaces an object as `kubectl` would: checked, completed and cared for by controllers, at once.
    pub fn submit(&self, object: Value) {
        let root = User::new("kubernetes-admin", &["system:masters"]);
        let state = &mut self.shared.inner().state;
        if let Err(refused) = state.submit(&root, "kubectl-client-side-apply", object) {
            panic!("{}", refused.message());
        }
        controllers::reconcile(state);
    }

    /// Lets the controllers do now what they have to do.
    pub fn settle(&self) {
        controllers::reconcile(&mut self.shared.inner().state);
    }

    /// Ends all watches and forgets what was before.
    pub fn compact(&self) {
        self.shared.inner().state.compact();
    }

    /// The names of all objects of a type in Alice's namespace.
    pub fn names(&self, plural: &str) -> Vec<String> {
        let inner = self.shared.inner();
        let keys = inner.state.objects.keys();
        keys.filter(|key| key.0 == "user-alice" && key.1 == plural)
            .map(|key| key.2.clone())
            .collect()
    }

    /// All that is stored, each with its version: the same twice means that nothing was written.
    pub fn versions(&self) -> Vec<String> {
        let inner = self.shared.inner();
        let version = |object: &Value| {
            object["metadata"]["resourceVersion"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let objects = inner.state.objects.iter();
        objects
            .map(|((namespace, plural, name), object)| {
                format!("{namespace}/{plural}/{name} {}", version(object))
            })
            .collect()
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
            // Pods and the like carry the labels of what they are made from, and are the cluster's.
            let managers = stored["metadata"]["managedFields"].as_array();
            let is_clusters = managers
                .and_then(|managers| managers.first())
                .is_some_and(|entry| entry["manager"] == "kube-controller-manager");
            let by = stored["metadata"]["labels"]["app.kubernetes.io/managed-by"].as_str();
            !is_clusters && by.is_some_and(|by| by.starts_with("kubectl-"))
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
        if let Some(answer) = discovery::answer(&state.addons, request) {
            return Ok(answer);
        }
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
            ("POST", false) if target.subresource == "portforward" => "create",
            _ => {
                return Err(Response::status(
                    405,
                    "MethodNotAllowed",
                    "the server does not allow this method on the requested resource",
                    &json!({}),
                ));
            }
        };
        // Whether somebody may is asked first: who may not is not told what is served.
        state.authorize(&user, &target.action(verb))?;
        let is_served = target
            .addon
            .is_none_or(|addon| state.addons.contains(&addon));
        if target.kind.is_empty() || !is_served {
            return Err(not_served());
        }
        match (target.subresource.as_str(), target.plural.as_str()) {
            ("" | "status", _) => {}
            ("log", "pods") => return state.log(&target, request),
            ("portforward", "pods") => {
                state.authorize(&user, &target.action("create"))?;
                return state.port_forward(&target, request);
            }
            _ => return Err(not_served()),
        }
        let answer = match verb {
            "get" => return Ok(Response::json(200, state.find(&target)?)),
            "list" => return state.list(&target, request),
            "watch" => return state.watch(&target, request),
            "delete" => state.delete(&target, request)?,
            "update" => state.update(&user, &target, request)?,
            "create" => state.create(&user, &target, request)?,
            _ => state.patch(&user, &target, request)?,
        };
        if !request.is_dry_run() {
            if verb == "create" && target.plural == "jobs" {
                Self::start_later(shared, &request.json(), &target);
            }
            Self::reconcile_later(shared);
        }
        Ok(answer)
    }

    /// Controllers are other programs: they come when the answer is already sent.
    fn reconcile_later(shared: &Arc<Self>) {
        let shared = shared.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            controllers::reconcile(&mut shared.inner().state);
        });
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

//! The control plane that all tests of a run share: etcd, API server and controllers of `tests/cluster`, as they are everywhere.
//! No pod runs there.
//!
//! Every test has namespaces of its own ([`names`]), and a server in front of it ([`ApiServer`]) that hides the others', remembers
//! requests, answers what a test tells it to, and stops the clock ([`clock`]). What runs pods and routes
//! requests on other clusters is played here ([`kubelet`], [`routing`]).

mod clock;
mod fate;
mod forward;
mod kubelet;
mod names;
mod objects;
mod pods;
mod routing;
mod server;
mod world;

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Arc, LazyLock, Mutex, Once, PoisonError, Weak};

use serde_json::{Value, json};
use test_cluster::{Cluster, Layout};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, http};

pub use fate::Fate;
pub(crate) use routing::Destination;
pub(crate) use server::Shared;
pub use server::{ApiServer, JobController};
pub use world::{Addon, Answers, World};

/// The media type of the API server's list of all kinds.
const ALL_KINDS: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// A kind of object that the API server serves.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Empty for the core.
    pub group: String,
    /// The one that it prefers.
    pub version: String,
    /// `deployments`
    pub plural: String,
    /// `Deployment`
    pub name: String,
    /// Whether its objects are in a namespace.
    pub is_namespaced: bool,
}

impl Kind {
    /// Where its objects are, or one of them.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let Self {
            group,
            version,
            plural,
            ..
        } = self;
        let root = if group.is_empty() {
            format!("/api/{version}")
        } else {
            format!("/apis/{group}/{version}")
        };
        let place = if self.is_namespaced && !namespace.is_empty() {
            format!("{root}/namespaces/{namespace}/{plural}")
        } else {
            format!("{root}/{plural}")
        };
        if name.is_empty() {
            place
        } else {
            format!("{place}/{name}")
        }
    }
}

/// The control plane, as its administrator.
pub(crate) struct Plane {
    agent: Agent,
    url: String,
    kinds: Vec<Kind>,
    /// The tests' servers, by their namespaces.
    servers: Mutex<HashMap<String, Weak<Shared>>>,
}

/// The one of this run.
pub(crate) fn plane() -> &'static Plane {
    static PLANE: LazyLock<Plane> = LazyLock::new(|| {
        let plane = Plane::connect();
        plane.prepare();
        plane
    });
    static CONTROLLERS: Once = Once::new();
    let plane = &*PLANE;
    CONTROLLERS.call_once(|| {
        plane.keep_node();
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(std::time::Duration::from_secs(10));
                PLANE.keep_node();
            }
        });
        kubelet::follow("/api/v1/pods", kubelet::care);
        kubelet::follow("/apis/networking.k8s.io/v1/ingresses", routing::care);
    });
    plane
}

impl Plane {
    fn connect() -> Self {
        let layout = Layout::control_plane().expect("inside the checkout");
        if let Err(error) = Cluster::node(&layout) {
            panic!("{error}; for these tests: `make control-plane`");
        }
        let authority = std::fs::read(layout.path("pki/ca.crt")).expect("the node's authority");
        let authority = Certificate::from_pem(&authority).expect("a certificate in PEM");
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[authority]))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections_per_host(64)
            .accept("")
            .accept_encoding("")
            .user_agent("")
            .build()
            .new_agent();
        let mut plane = Self {
            agent,
            url: layout.server(),
            kinds: Vec::new(),
            servers: Mutex::default(),
        };
        plane.define_listener_sets();
        plane.kinds = ["/api", "/apis"]
            .iter()
            .flat_map(|root| plane.kinds_below(root))
            .collect();
        plane
    }

    fn kinds_below(&self, root: &str) -> Vec<Kind> {
        let headers = [("authorization", ROOT), ("accept", ALL_KINDS)];
        let (_, groups) = read(self.send("GET", root, &headers, None));
        let mut kinds = Vec::new();
        for group in items(&groups, "items") {
            let Some(version) = items(group, "versions").next() else {
                continue;
            };
            kinds.extend(items(version, "resources").map(|resource| Kind {
                group: text(&group["metadata"]["name"]),
                version: text(&version["version"]),
                plural: text(&resource["resource"]),
                name: text(&resource["responseKind"]["kind"]),
                is_namespaced: resource["scope"] == "Namespaced",
            }));
        }
        kinds
    }

    /// A kind that the Gateway API has since 1.5: whatever it says is taken.
    fn define_listener_sets(&self) {
        let group = "gateway.networking.k8s.io";
        let names = json!({"plural": "listenersets", "singular": "listenerset", "kind": "ListenerSet", "listKind": "ListenerSetList"});
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let version = json!({
            "name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}},
        });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("listenersets.{group}"),
                "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/2466"},
            },
            "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
        });
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        self.root("POST", definitions, Some(("application/json", &definition)));
        wait_until("ListenerSets are served", || {
            self.root(
                "GET",
                "/apis/gateway.networking.k8s.io/v1/listenersets",
                None,
            )
            .0 == 200
        });
    }

    /// What every test finds.
    fn prepare(&self) {
        // What the makers of these kinds add to the role `admin`, here for those tests alone that have them.
        let rules = json!([{"apiGroups": ["gateway.networking.k8s.io", "cert-manager.io", "acme.cert-manager.io"], "resources": ["*"], "verbs": ["*"]}]);
        let object = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "addons"}, "rules": rules});
        self.root(
            "POST",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            Some(("application/json", &object)),
        );
    }

    /// There is a node for pods to be on, and it reports as long as this process runs.
    fn keep_node(&self) {
        let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
        self.root("POST", "/api/v1/nodes", Some(("application/json", &object)));
        let now = jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now});
        let status = json!({"status": {"conditions": [ready]}});
        let patch = Some(("application/merge-patch+json", &status));
        let (code, answer) = self.root("PATCH", &format!("/api/v1/nodes/{NODE}/status"), patch);
        assert_eq!(code, 200, "{answer}");
    }

    /// Sends a request as it is.
    pub(crate) fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> http::Response<Body> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match body {
            Some(body) => self.agent.run(request.body(body).expect("a request")),
            None => self.agent.run(request.body(()).expect("a request")),
        };
        answer.unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// Sends a request as the administrator; the status and the answer.
    pub(crate) fn root(
        &self,
        method: &str,
        target: &str,
        body: Option<(&str, &Value)>,
    ) -> (u16, Value) {
        let mut headers = vec![("authorization", ROOT), ("accept", "application/json")];
        let bytes = body.map(|(content_type, object)| {
            headers.push(("content-type", content_type));
            object.to_string().into_bytes()
        });
        read(self.send(method, target, &headers, bytes.as_deref()))
    }

    /// The kind with this plural.
    pub(crate) fn kind_of_plural(&self, plural: &str) -> &Kind {
        self.kind(|kind| kind.plural == plural)
    }

    fn kind(&self, fits: impl Fn(&Kind) -> bool) -> &Kind {
        let found = self.kinds.iter().find(|kind| fits(kind));
        found.unwrap_or_else(|| panic!("the API server has no such kind"))
    }

    /// The kind of an object.
    pub(crate) fn kind_of(&self, object: &Value) -> &Kind {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        self.kind(|kind| kind.group == group && object["kind"] == kind.name.as_str())
    }

    /// Waits until what was written of Roles and their bindings counts: the API server learns of them in their order.
    pub(crate) fn wait_for_rights(&self) {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rights-{}-{count}", std::process::id());
        let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
        let metadata = json!({"name": name, "namespace": "default"});
        let group = "rbac.authorization.k8s.io";
        let role = json!({"metadata": metadata, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
        let binding = json!({
            "metadata": metadata, "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": name}],
        });
        for (plural, object) in [("roles", &role), ("rolebindings", &binding)] {
            let (code, answer) = self.root(
                "POST",
                &format!("{rbac}/{plural}"),
                Some(("application/json", object)),
            );
            assert_eq!(code, 201, "{answer}");
        }
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": name, "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}},
        });
        let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        wait_until("rights count", || {
            let (_, answer) = self.root("POST", reviews, Some(("application/json", &review)));
            answer["status"]["allowed"] == true
        });
    }

    /// The server of the test whose namespace this is.
    pub(crate) fn server_of(&self, namespace: &str) -> Option<Arc<Shared>> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.get(namespace)?.upgrade()
    }

    /// From now on this namespace is this test's.
    fn register(&self, namespace: &str, server: &Arc<Shared>) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.insert(namespace.to_owned(), Arc::downgrade(server));
    }
}

/// The node that all pods are on.
pub(crate) const NODE: &str = "node-1";

/// How the administrator says who it is.
const ROOT: &str = "Bearer root-token";

/// The status and the body, null where that is no JSON.
fn read(answer: http::Response<Body>) -> (u16, Value) {
    let code = answer.status().as_u16();
    (
        code,
        serde_json::from_slice(&body_of(answer)).unwrap_or_default(),
    )
}

/// The whole body.
fn body_of(answer: http::Response<Body>) -> Vec<u8> {
    let mut body = Vec::new();
    let mut reader = answer.into_body().into_reader();
    reader.read_to_end(&mut body).expect("a whole answer");
    body
}

/// Waits for a condition.
fn wait_until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(comes_true(is_so), "never: {what}");
}

/// Whether a condition comes true in time.
fn comes_true(mut is_so: impl FnMut() -> bool) -> bool {
    let stopwatch = crate::Stopwatch::start();
    while !is_so() {
        if stopwatch.is_over(std::time::Duration::from_secs(30)) {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    true
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

//! Who may do what, by the rules of RBAC.

use serde_json::{Value, json};

use crate::target::{Addon, GATEWAY, RBAC};

/// Who asks.
#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub groups: Vec<String>,
}

impl User {
    pub fn new(name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().chain(&["system:authenticated"]);
        Self {
            name: name.into(),
            groups: groups.map(|group| (*group).to_owned()).collect(),
        }
    }

    /// Whether a `RoleBinding`'s subject is this user or a group of theirs.
    pub fn is(&self, subject: &Value) -> bool {
        let name = subject["name"].as_str().unwrap_or_default();
        match subject["kind"].as_str() {
            Some("User") => self.name == name,
            Some("Group") => self.groups.iter().any(|group| group == name),
            Some("ServiceAccount") => {
                let namespace = subject["namespace"].as_str().unwrap_or_default();
                self.name == format!("system:serviceaccount:{namespace}:{name}")
            }
            _ => false,
        }
    }
}

/// What somebody wants to do.
#[derive(Clone, Debug, Default)]
pub struct Action {
    pub verb: String,
    pub group: String,
    /// `pods` or `pods/portforward`.
    pub resource: String,
    pub name: String,
    pub namespace: String,
}

impl Action {
    /// From the attributes of an access review.
    pub fn reviewed(attributes: &Value) -> Self {
        let text = |key: &str| attributes[key].as_str().unwrap_or_default().to_owned();
        let resource = match text("subresource") {
            none if none.is_empty() => text("resource"),
            subresource => format!("{}/{subresource}", text("resource")),
        };
        Self {
            verb: text("verb"),
            group: text("group"),
            resource,
            name: text("name"),
            namespace: text("namespace"),
        }
    }

    /// `pods`, also for `pods/log`.
    pub fn kind(&self) -> &str {
        self.resource.split('/').next().unwrap_or_default()
    }

    /// The API server's sentence that it may not be done.
    pub fn forbidden(&self, user: &User) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        let quoted = if self.name.is_empty() {
            String::new()
        } else {
            format!(" {:?}", self.name)
        };
        let scope = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", self.namespace)
        };
        format!(
            "{}{dot}{}{quoted} is forbidden: User {:?} cannot {} resource {:?} in API group {:?} {scope}",
            self.kind(),
            self.group,
            user.name,
            self.verb,
            self.resource,
            self.group
        )
    }
}

/// Whether one of these rules allows it.
pub fn allow(rules: &[Value], action: &Action) -> bool {
    rules.iter().any(|rule| {
        let has = |key: &str, wanted: &str| {
            let entries = rule[key].as_array().into_iter().flatten();
            entries
                .filter_map(Value::as_str)
                .any(|entry| entry == "*" || entry == wanted)
        };
        let named = rule["resourceNames"]
            .as_array()
            .is_some_and(|names| !names.is_empty());
        has("verbs", &action.verb)
            && has("apiGroups", &action.group)
            && has("resources", &action.resource)
            && (!named || has("resourceNames", &action.name))
    })
}

/// The first single right in these rules that others do not give: what escalation prevention refuses.
pub fn beyond<'a>(held: &[Value], wanted: &'a [Value]) -> Option<&'a Value> {
    let texts = |rule: &Value, key: &str| -> Vec<String> {
        let entries = rule[key].as_array().into_iter().flatten();
        entries
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    wanted.iter().find(|rule| {
        let mut names = texts(rule, "resourceNames");
        if names.is_empty() {
            names.push(String::new());
        }
        texts(rule, "verbs").iter().any(|verb| {
            texts(rule, "apiGroups").iter().any(|group| {
                texts(rule, "resources").iter().any(|resource| {
                    names.iter().any(|name| {
                        let action = Action {
                            verb: verb.clone(),
                            group: group.clone(),
                            resource: resource.clone(),
                            name: name.clone(),
                            namespace: String::new(),
                        };
                        !allow(held, &action)
                    })
                })
            })
        })
    })
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

/// The rules of a built-in `ClusterRole`, as far as the plugins meet them.
pub fn cluster_role(name: &str) -> Vec<Value> {
    const READ: [&str; 3] = ["get", "list", "watch"];
    const ALL: [&str; 8] = [
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ];
    const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];
    const CORE: [&str; 5] = [
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "serviceaccounts",
        "services",
    ];
    const APPS: [&str; 6] = [
        "daemonsets",
        "deployments",
        "deployments/scale",
        "replicasets",
        "statefulsets",
        "statefulsets/scale",
    ];
    const NETWORKING: &str = "networking.k8s.io";
    let everybody = vec![
        rule(
            &["create"],
            "authorization.k8s.io",
            &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        ),
        rule(
            &["create"],
            "authentication.k8s.io",
            &["selfsubjectreviews"],
        ),
    ];
    let view = vec![
        rule(&READ, "", &CORE),
        rule(
            &READ,
            "",
            &[
                "endpoints",
                "events",
                "limitranges",
                "namespaces",
                "pods/log",
                "resourcequotas",
            ],
        ),
        rule(&READ, "apps", &APPS),
        rule(&["get", "list", "watch"], "apps", &["controllerrevisions"]),
        rule(&READ, "batch", &["cronjobs", "jobs"]),
        rule(&READ, "discovery.k8s.io", &["endpointslices"]),
        rule(&READ, NETWORKING, &["ingresses", "networkpolicies"]),
        rule(&READ, "policy", &["poddisruptionbudgets"]),
    ];
    let edit = vec![
        rule(&WRITE, "", &CORE),
        rule(&WRITE, "", &["events"]),
        rule(&ALL, "", &["secrets", "pods/exec", "pods/portforward"]),
        rule(&WRITE, "apps", &APPS),
        rule(&WRITE, "batch", &["cronjobs", "jobs"]),
        rule(&WRITE, NETWORKING, &["ingresses", "networkpolicies"]),
        rule(&WRITE, "policy", &["poddisruptionbudgets"]),
    ];
    let admin = vec![
        rule(&ALL, RBAC, &["rolebindings", "roles"]),
        rule(
            &["create"],
            "authorization.k8s.io",
            &["localsubjectaccessreviews"],
        ),
    ];
    match name {
        "system:basic-user" => everybody,
        "view" => view,
        "edit" => [view, edit].concat(),
        "admin" => [view, edit, admin].concat(),
        "cluster-admin" => vec![rule(&["*"], "*", &["*"])],
        _ => Vec::new(),
    }
}

/// What an addon adds to the built-in roles `edit` and `admin`, where its makers or the platform aggregate it.
pub fn aggregated(addon: Addon) -> Vec<Value> {
    const ALL: [&str; 7] = [
        "create", "delete", "get", "list", "patch", "update", "watch",
    ];
    let read = &ALL[2..4];
    match addon {
        Addon::GatewayApi => vec![
            rule(&ALL, GATEWAY, &["httproutes"]),
            rule(read, GATEWAY, &["gateways"]),
        ],
        Addon::ListenerSets => vec![rule(&ALL, GATEWAY, &["listenersets"])],
        Addon::CertManager => vec![
            rule(
                &ALL,
                "cert-manager.io",
                &["certificates", "certificaterequests", "issuers"],
            ),
            rule(&ALL, "acme.cert-manager.io", &["challenges", "orders"]),
        ],
    }
}

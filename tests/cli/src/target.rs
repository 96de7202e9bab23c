//! What a request is about: a resource type that is served, and an object of it.

use serde_json::json;

use crate::http::{Request, Response};
use crate::rbac::Action;
use crate::store::Key;

/// A resource type that is served: its group, version, plural and kind.
type Served = (&'static str, &'static str, &'static str, &'static str);

pub const RBAC: &str = "rbac.authorization.k8s.io";
pub const SERVED: [Served; 9] = [
    ("", "v1", "services", "Service"),
    ("", "v1", "endpoints", "Endpoints"),
    ("", "v1", "pods", "Pod"),
    ("", "v1", "configmaps", "ConfigMap"),
    ("", "v1", "secrets", "Secret"),
    ("apps", "v1", "statefulsets", "StatefulSet"),
    ("batch", "v1", "jobs", "Job"),
    (RBAC, "v1", "roles", "Role"),
    (RBAC, "v1", "rolebindings", "RoleBinding"),
];
pub const REVIEWS: [(&str, &str); 4] = [
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
];

/// What a path names.
pub struct Target {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl Target {
    pub fn of(request: &Request) -> Result<Self, Response> {
        let segments = request.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (group, version, rest) = match &parts[..] {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(Response::text(404, "text/plain", "404 page not found\n")),
        };
        let (namespace, plural, name) = match rest {
            ["namespaces", namespace, plural] => (*namespace, *plural, ""),
            ["namespaces", namespace, plural, name] => (*namespace, *plural, *name),
            [plural] => ("", *plural, ""),
            _ => return Err(Response::text(404, "text/plain", "404 page not found\n")),
        };
        let kind = SERVED
            .iter()
            .find(|served| (served.0, served.1, served.2) == (group, version, plural))
            .map(|served| served.3)
            .or_else(|| {
                (version == "v1" && REVIEWS.contains(&(group, plural))).then_some("Review")
            });
        let Some(kind) = kind else {
            return Err(Response::status(
                404,
                "NotFound",
                "the server could not find the requested resource",
                &json!({}),
            ));
        };
        Ok(Self {
            group: group.into(),
            version: version.into(),
            plural: plural.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        })
    }

    pub fn key(&self, name: &str) -> Key {
        (self.namespace.clone(), self.plural.clone(), name.to_owned())
    }

    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `jobs.batch`
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    pub fn action(&self, verb: &str) -> Action {
        Action {
            verb: verb.into(),
            group: self.group.clone(),
            resource: self.plural.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
        }
    }

    pub fn refusal(&self, code: u16, reason: &str, name: &str, message: String) -> Response {
        let kind = if code == 422 {
            &self.kind
        } else {
            &self.plural
        };
        let mut details = json!({"name": name, "kind": kind});
        if !self.group.is_empty() {
            details["group"] = json!(self.group);
        }
        Response::status(code, reason, message, &details)
    }
}

//! What we, or a colleague, may do: asked of the API server, never guessed.

use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, ResourceAttributes, ResourceRule, SelfSubjectAccessReview,
    SelfSubjectAccessReviewSpec, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec,
    SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Resource};
use serde::Deserialize;
use serde_json::Value;

use super::Cluster;
use crate::error::{Error, Kind, Request, Result, rights_hints};
use crate::printable;
use crate::subject::Subject;

/// One thing that may be allowed: a verb on a resource, perhaps on one object only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Right {
    /// `get`, `create`, ...
    pub verb: &'static str,
    /// API group, empty for the core one.
    pub group: &'static str,
    /// `pods`.
    pub resource: &'static str,
    /// `portforward`, or empty.
    pub subresource: &'static str,
    /// The object's name, or empty for any.
    pub name: String,
}

impl Right {
    /// A verb on every object of a resource (`pods` or `pods/exec`) of the core API group.
    pub fn core(verb: &'static str, resource: &'static str) -> Self {
        Self::of(verb, "", resource)
    }

    /// A verb on every object of a resource (`roles` or `pods/exec`) of an API group.
    pub fn of(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Self {
            verb,
            group,
            resource,
            subresource,
            name: String::new(),
        }
    }

    /// The same on the object of this name only.
    #[must_use]
    pub fn on(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// What it is on: `jobs`, `pods/exec`, `roles/NAME`.
    fn object(&self) -> String {
        let resource = self.resource;
        match (self.subresource, self.name.as_str()) {
            ("", "") => resource.to_owned(),
            ("", name) => format!("{resource}/{}", printable::line(name)),
            (subresource, _) => format!("{resource}/{subresource}"),
        }
    }

    fn attributes(&self, namespace: &str) -> ResourceAttributes {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ResourceAttributes {
            namespace: some(namespace),
            verb: some(self.verb),
            group: some(self.group),
            resource: some(self.resource),
            subresource: some(self.subresource),
            name: some(&self.name),
            ..ResourceAttributes::default()
        }
    }
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.object())
    }
}

/// What the API server says about a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is allowed.
    Yes,
    /// It is not.
    No,
    /// It depends on what is asked for then, or the answer has something that is not known here: neither is to be promised.
    Unclear,
}

/// A review that came back. k8s-openapi's own type drops the fields that it does not know.
#[derive(Debug, Deserialize)]
struct Reviewed {
    #[serde(default)]
    status: Value,
}

impl Answer {
    /// From a review's status. Kubernetes may come to answer with conditions (KEP-5681): whatever else stands beside the
    /// fields that have been there since 1.6 makes the answer unclear.
    fn of(status: &Value) -> Self {
        const KNOWN: [&str; 4] = ["allowed", "denied", "reason", "evaluationError"];
        let is_known = status
            .as_object()
            .is_some_and(|status| status.keys().all(|field| KNOWN.contains(&field.as_str())));
        match status["allowed"].as_bool() {
            Some(true) if is_known => Self::Yes,
            Some(false) if is_known => Self::No,
            _ => Self::Unclear,
        }
    }
}

/// Refuses what one lacks the rights for: `what` is not allowed (`sharing`), and `roles` allow it (`` `admin` ``).
///
/// # Errors
/// [`Kind::Forbidden`] where anything is lacking.
pub fn refuse_lacking(namespace: &str, lacking: &[Right], what: &str, roles: &str) -> Result<()> {
    if lacking.is_empty() {
        return Ok(());
    }
    let mut verbs: Vec<(&str, Vec<String>)> = Vec::new();
    for right in lacking {
        let object = right.object();
        match verbs.iter_mut().find(|(verb, _)| *verb == right.verb) {
            Some((_, objects)) => objects.push(object),
            None => verbs.push((right.verb, vec![object])),
        }
    }
    let verbs: Vec<String> = verbs
        .iter()
        .map(|(verb, objects)| format!("{verb} {}", objects.join(", ")))
        .collect();
    Err(Error::of(
        Kind::Forbidden,
        format!("your rights in namespace `{namespace}` do not allow {what}"),
    )
    .caused_by(format!("you may not {}", verbs.join("; ")))
    .hint(format!("{what} needs the role {roles} in that namespace"))
    .hints_from(rights_hints(Some(namespace))))
}

impl Cluster {
    /// Refuses what one lacks the rights for, as [`refuse_lacking`].
    ///
    /// # Errors
    /// [`Kind::Forbidden`] where anything is lacking; when the API server does not answer.
    pub async fn require(
        &self,
        namespace: &str,
        rights: &[Right],
        what: &str,
        roles: &str,
    ) -> Result<()> {
        let lacking = self.lacks(namespace, rights).await?;
        refuse_lacking(namespace, &lacking, what, roles)
    }

    /// Which of these rights we lack in a namespace. One question tells all rules that apply to us; only what they do not seem
    /// to cover is asked for one by one (an authorizer that is not RBAC may not be able to list its rules).
    ///
    /// # Errors
    /// When the API server does not answer; everybody may ask (role `system:basic-user`).
    pub async fn lacks(&self, namespace: &str, rights: &[Right]) -> Result<Vec<Right>> {
        let rules = self.own_rules(namespace).await?;
        let doubtful: Vec<&Right> = rights
            .iter()
            .filter(|right| !rules.iter().any(|rule| covers(rule, right)))
            .collect();
        let answers = try_join_all(doubtful.iter().map(|right| self.may(namespace, right))).await?;
        Ok(doubtful
            .into_iter()
            .zip(answers)
            .filter(|(_, allowed)| !allowed)
            .map(|(right, _)| right.clone())
            .collect())
    }

    /// Whether we have one right in a namespace: one question, where nothing else of our rules is needed.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn may(&self, namespace: &str, right: &Right) -> Result<bool> {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(right.attributes(namespace)),
                ..Default::default()
            },
            ..Default::default()
        };
        let review = self
            .review(Api::all(self.client.clone()), &review, Some(namespace))
            .await?;
        Ok(review.status.is_some_and(|status| status.allowed))
    }

    /// Whether a subject has each of these rights in a namespace, in their order; a user is asked about as a member of `group`
    /// and of no other. A namespace's admin may ask this.
    ///
    /// # Errors
    /// [`crate::Kind::Forbidden`] for those who may not.
    pub async fn allows(
        &self,
        subject: &Subject,
        group: Option<&str>,
        namespace: &str,
        rights: &[Right],
    ) -> Result<Vec<Answer>> {
        try_join_all(rights.iter().map(async |right| {
            let (user, groups) = subject.as_reviewed(group);
            let spec = SubjectAccessReviewSpec {
                user: Some(user),
                groups: Some(groups),
                resource_attributes: Some(right.attributes(namespace)),
                ..Default::default()
            };
            let mut review = LocalSubjectAccessReview {
                spec,
                ..Default::default()
            };
            review.metadata.namespace = Some(namespace.to_owned());
            Ok(Answer::of(&self.reviewed(&review, namespace).await?.status))
        }))
        .await
    }

    /// Posts a review, and reads its status as it came.
    async fn reviewed(
        &self,
        review: &LocalSubjectAccessReview,
        namespace: &str,
    ) -> Result<Reviewed> {
        let asked = Request {
            verb: "create",
            resource: LocalSubjectAccessReview::plural(&()).into_owned(),
            noun: LocalSubjectAccessReview::kind(&()).to_lowercase(),
            name: "",
            namespace: Some(namespace),
        };
        let failed = |error: &dyn std::fmt::Display| {
            Error::new("cannot ask what is allowed")
                .caused_by(printable::short(&error.to_string(), 200))
        };
        let body = serde_json::to_vec(review).map_err(|error| failed(&error))?;
        let url = LocalSubjectAccessReview::url_path(&(), Some(namespace));
        let request = kube::core::Request::new(url)
            .create(&PostParams::default(), body)
            .map_err(|error| failed(&error))?;
        self.send(asked, self.client.request(request)).await
    }

    /// The rules that apply to us in a namespace. This is how one learns what somebody has shared: the rules name the objects,
    /// though one may list nothing there.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn own_rules(&self, namespace: &str) -> Result<Vec<ResourceRule>> {
        let review = SelfSubjectRulesReview {
            spec: SelfSubjectRulesReviewSpec {
                namespace: Some(namespace.to_owned()),
            },
            ..Default::default()
        };
        let review = self
            .review(Api::all(self.client.clone()), &review, Some(namespace))
            .await?;
        Ok(review
            .status
            .map(|status| status.resource_rules)
            .unwrap_or_default())
    }
}

/// Whether an RBAC rule gives a right (the API's rules for wildcards: `*`, and `*/sub` for a subresource of everything).
fn covers(rule: &ResourceRule, right: &Right) -> bool {
    let has =
        |list: &[String], wanted: &str| list.iter().any(|entry| entry == "*" || entry == wanted);
    let resources = rule.resources.as_deref().unwrap_or_default();
    let names = rule.resource_names.as_deref().unwrap_or_default();
    let resource = if right.subresource.is_empty() {
        right.resource.to_owned()
    } else {
        format!("{}/{}", right.resource, right.subresource)
    };
    let any_parent = !right.subresource.is_empty()
        && resources
            .iter()
            .any(|entry| *entry == format!("*/{}", right.subresource));
    has(&rule.verbs, right.verb)
        && has(rule.api_groups.as_deref().unwrap_or_default(), right.group)
        && (has(resources, &resource) || any_parent)
        && (names.is_empty() || names.contains(&right.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> ResourceRule {
        let list = |items: &[&str]| Some(items.iter().map(|item| (*item).to_owned()).collect());
        ResourceRule {
            verbs: list(verbs).unwrap_or_default(),
            api_groups: list(groups),
            resources: list(resources),
            resource_names: list(names),
        }
    }

    #[test]
    fn an_answer_with_conditions_is_neither_yes_nor_no() {
        for (status, answer) in [
            (
                serde_json::json!({"allowed": true, "reason": "RBAC: allowed"}),
                Answer::Yes,
            ),
            (
                serde_json::json!({"allowed": false, "evaluationError": "role not found"}),
                Answer::No,
            ),
            (
                serde_json::json!({"allowed": false, "conditionSetChain": []}),
                Answer::Unclear,
            ),
            (
                serde_json::json!({"allowed": true, "conditionSetChain": []}),
                Answer::Unclear,
            ),
            (serde_json::json!({}), Answer::Unclear),
            (Value::Null, Answer::Unclear),
        ] {
            assert_eq!(Answer::of(&status), answer, "{status}");
        }
    }

    #[test]
    fn rules_cover_what_they_say_and_nothing_else() {
        let forward = Right::core("create", "pods/portforward").on("pg-0");
        assert!(covers(
            &rule(&["create"], &[""], &["pods/portforward"], &["pg-0"]),
            &forward
        ));
        assert!(!covers(
            &rule(&["create"], &[""], &["pods/portforward"], &["pg-1"]),
            &forward
        ));
        assert!(
            !covers(&rule(&["create"], &[""], &["pods"], &[]), &forward),
            "the pod is not its subresource"
        );
        assert!(covers(&rule(&["*"], &["*"], &["*"], &[]), &forward));
        assert!(covers(
            &rule(&["create"], &[""], &["*/portforward"], &[]),
            &forward
        ));
        assert!(!covers(
            &rule(&["get"], &["rbac.authorization.k8s.io"], &["roles"], &[]),
            &Right::of("create", "rbac.authorization.k8s.io", "roles")
        ));
        assert!(
            !covers(
                &rule(&["create"], &[""], &["roles"], &[]),
                &Right::of("create", "rbac.authorization.k8s.io", "roles")
            ),
            "another API group"
        );
    }
}

//! Whom the API server knows, and what they may do.

use serde_json::{Value, json};

use crate::http::{Request, Response};
use crate::rbac::{self, Action, User};
use crate::store::{Answer, State};
use crate::target::Target;

impl State {
    pub fn authenticate(&self, request: &Request) -> Result<User, Response> {
        let token = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let user = token
            .and_then(|token| self.users.get(token))
            .ok_or_else(|| Response::status(401, "Unauthorized", "Unauthorized", &Value::Null))?;
        let Some(other) = request.header("impersonate-user") else {
            return Ok(user.clone());
        };
        self.authorize(
            user,
            &Action {
                verb: "impersonate".into(),
                resource: "users".into(),
                name: other.into(),
                ..Action::default()
            },
        )?;
        Ok(User::new(
            other,
            &request.header_values("impersonate-group"),
        ))
    }

    pub fn authorize(&self, user: &User, action: &Action) -> Result<(), Response> {
        if rbac::allow(&self.rules(user, &action.namespace), action) {
            return Ok(());
        }
        let mut details = json!({"name": action.name, "kind": action.kind()});
        if !action.group.is_empty() {
            details["group"] = json!(action.group);
        }
        Err(Response::status(
            403,
            "Forbidden",
            action.forbidden(user),
            &details,
        ))
    }

    /// The rules that apply to a user in a namespace.
    pub fn rules(&self, user: &User, namespace: &str) -> Vec<Value> {
        let mut rules = rbac::cluster_role("system:basic-user");
        if user.groups.iter().any(|group| group == "system:masters") {
            rules.extend(rbac::cluster_role("cluster-admin"));
        }
        for ((of, plural, _), stored) in &self.objects {
            let subjects = stored["subjects"].as_array().into_iter().flatten();
            if of == namespace
                && plural == "rolebindings"
                && subjects.into_iter().any(|subject| user.is(subject))
            {
                rules.extend(self.role(namespace, &stored["roleRef"]).unwrap_or_default());
            }
        }
        rules
    }

    /// The rules of the role that a binding refers to, if it exists.
    pub fn role(&self, namespace: &str, role_ref: &Value) -> Option<Vec<Value>> {
        let name = role_ref["name"].as_str().unwrap_or_default();
        if role_ref["kind"] == "ClusterRole" {
            let mut rules = rbac::cluster_role(name);
            if ["edit", "admin"].contains(&name) {
                rules.extend(
                    self.addons
                        .iter()
                        .flat_map(|addon| rbac::aggregated(*addon)),
                );
            }
            return Some(rules);
        }
        let key = (namespace.to_owned(), "roles".to_owned(), name.to_owned());
        let rules = self.objects.get(&key)?["rules"].as_array().cloned();
        Some(rules.unwrap_or_default())
    }

    pub fn review(&self, user: &User, target: &Target, review: &Value) -> Answer {
        self.authorize(user, &target.action("create"))?;
        let spec = &review["spec"];
        let action = Action::reviewed(&spec["resourceAttributes"]);
        let status = match target.plural.as_str() {
            "selfsubjectreviews" => {
                json!({"userInfo": {"username": user.name, "groups": user.groups}})
            }
            "selfsubjectaccessreviews" => {
                json!({"allowed": rbac::allow(&self.rules(user, &action.namespace), &action)})
            }
            "selfsubjectrulesreviews" => {
                let namespace = spec["namespace"].as_str().unwrap_or_default();
                json!({"resourceRules": self.rules(user, namespace), "nonResourceRules": [], "incomplete": false})
            }
            _ => {
                let groups = spec["groups"].as_array().into_iter().flatten();
                let asked = User {
                    name: spec["user"].as_str().unwrap_or_default().into(),
                    groups: groups
                        .filter_map(Value::as_str)
                        .map(str::to_owned)
                        .collect(),
                };
                json!({"allowed": rbac::allow(&self.rules(&asked, &action.namespace), &action)})
            }
        };
        let mut answer = review.clone();
        answer["status"] = status;
        Ok(Response::json(201, &answer))
    }

    /// Nobody gives rights that they do not have.
    pub fn refuse_escalation(
        &self,
        user: &User,
        target: &Target,
        name: &str,
        wanted: &[Value],
    ) -> Result<(), Response> {
        let Some(rule) = rbac::beyond(&self.rules(user, &target.namespace), wanted) else {
            return Ok(());
        };
        let message = format!(
            "{} {name:?} is forbidden: user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{{APIGroups:{}, Resources:{}, ResourceNames:{}, Verbs:{}}}",
            target.qualified(),
            user.name,
            user.groups,
            rule["apiGroups"],
            rule["resources"],
            rule["resourceNames"],
            rule["verbs"],
        );
        Err(target.refusal(403, "Forbidden", name, message))
    }
}

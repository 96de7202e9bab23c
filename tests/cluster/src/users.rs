//! Users as Onyxia makes them: `oidc-NAME`, who owns the namespace `user-NAME` through the `RoleBinding` `full_control_namespace`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    api::Api,
    error::{Error, Result},
    wait,
};

/// The users every node starts with.
pub const DEFAULT: &[&str] = &["alice", "bob", "eve"];

/// What the cluster puts before the names of users and groups.
pub(crate) const PREFIX: &str = "oidc-";

/// The cluster's name for a user.
pub fn user_name(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// The namespace of a user.
pub fn namespace(name: &str) -> String {
    format!("user-{name}")
}

/// Fails when a name cannot stand in a namespace.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = !name.is_empty()
        && name.len() <= 50
        && name.chars().all(fits)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if good && name != "admin" {
        return Ok(());
    }
    Err(Error::new(format!("{name:?} cannot be a user's name"))
        .hint("use lower-case letters, digits and dashes, and not `admin`"))
}

/// The user as a `RoleBinding` names them.
pub(crate) fn subject(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user_name(name)})
}

/// Makes the user's namespace and gives it to `subject` with this `ClusterRole`; waits for the end of an earlier namespace of that name.
pub(crate) fn give_namespace(api: &Api, name: &str, role: &str, subject: &Value) -> Result<()> {
    let namespace = namespace(name);
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    let path = format!("/api/v1/namespaces/{namespace}");
    wait::until(
        &format!("the earlier namespace {namespace} is gone"),
        Duration::from_mins(1),
        || {
            if api.create("/api/v1/namespaces", &object)?.is_some() {
                return Ok(Some(()));
            }
            let existing = api.get(&path)?;
            Ok(existing
                .filter(|existing| existing["metadata"]["deletionTimestamp"].is_null())
                .map(drop))
        },
    )?;
    let bindings =
        format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
    let binding = binding(role, subject);
    if api.create(&bindings, &binding)?.is_some() {
        return Ok(());
    }
    let path = format!("{bindings}/full_control_namespace");
    if api.get(&path)?.is_some_and(|existing| {
        existing["roleRef"]["name"] != role || existing["subjects"] != binding["subjects"]
    }) {
        // A binding's role cannot be changed.
        api.delete(&path)?;
        api.create(&bindings, &binding)?;
    }
    Ok(())
}

fn binding(role: &str, subject: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "full_control_namespace"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    })
}

/// Deletes the user's namespace, and waits for its end if asked to.
pub(crate) fn take_namespace(api: &Api, name: &str, wait: bool) -> Result<()> {
    let path = format!("/api/v1/namespaces/{}", namespace(name));
    if !api.delete(&path)? || !wait {
        return Ok(());
    }
    wait::until(
        &format!("namespace {} is gone", namespace(name)),
        Duration::from_mins(2),
        || Ok(api.get(&path)?.is_none().then_some(())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_must_fit_a_namespace() {
        for good in ["alice", "user-1", "a"] {
            check_name(good).unwrap();
        }
        for bad in [
            "",
            "Alice",
            "a_b",
            "-a",
            "a-",
            "admin",
            "../x",
            &"a".repeat(51),
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}

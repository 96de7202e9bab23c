//! Rights that are given to everybody.

use serde_json::Value;

use super::{Finding, called, is, items};

/// Groups that have every account of the cluster in them, or whoever reaches it, and the user that has no account.
const EVERYBODY: [(&str, &str); 4] = [
    ("system:authenticated", "every account of the cluster"),
    ("system:serviceaccounts", "every app of the cluster"),
    (
        "system:unauthenticated",
        "whoever reaches the cluster, without an account",
    ),
    (
        "system:anonymous",
        "whoever reaches the cluster, without an account",
    ),
];

/// The bindings whose subjects are everybody.
pub fn findings(objects: &[Value]) -> Vec<Finding> {
    let bindings = objects
        .iter()
        .filter(|object| is(object, "RoleBinding") || is(object, "ClusterRoleBinding"));
    bindings
        .flat_map(|binding| {
            items(binding, "subjects")
                .filter(|subject| subject["kind"] != "ServiceAccount")
                .filter_map(|subject| {
                    let name = subject["name"].as_str()?;
                    let (name, who) = EVERYBODY.iter().find(|(known, _)| *known == name)?;
                    Some(Finding::new(
                        format!(
                            "{} gives its rights to `{name}`, which is {who}",
                            called(binding)
                        ),
                        "name the people or the ServiceAccounts who are to have them",
                    ))
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_there_is() {
        let binding = |subjects: Value| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "open"}, "subjects": subjects});
        let found = findings(&[
            binding(json!([{"kind": "Group", "name": "system:authenticated"}])),
            binding(
                json!([{"kind": "User", "name": "bob"}, {"kind": "ServiceAccount", "name": "ci"}]),
            ),
        ]);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].what,
            "rolebinding `open` gives its rights to `system:authenticated`, which is every account of the cluster"
        );
    }
}

//! Why a document was not applied, in words: conflicts of server-side apply, and fields that its kind does not have.

use serde_json::Value;

use super::Place;
use crate::error::{Error, Hint, Kind, close_names};
use crate::printable;
use crate::shell::shell;

/// Why a document was not applied, where it is not the API server's everyday answer.
pub(super) enum Refusal {
    Conflicts(Vec<Conflict>),
    Schema(String),
}

/// A field that another manager has set to something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    /// `.spec.replicas`
    pub(super) field: String,
    pub(super) manager: String,
}

/// The conflicts of server-side apply, if that is what the API server answered.
pub(super) fn conflicts(status: &kube::core::Status) -> Option<Vec<Conflict>> {
    if status.code != 409 || !status.message.starts_with("Apply failed with") {
        return None;
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    Some(
        causes
            .map(|cause| Conflict {
                field: cause.field.trim_start_matches('.').to_owned(),
                manager: cause
                    .message
                    .split('"')
                    .nth(1)
                    .unwrap_or("another program")
                    .to_owned(),
            })
            .collect(),
    )
}

/// What is wrong with a document that is not of its kind's form; the API server says it with 500 when it applies, and with
/// 400 when it validates.
///
/// It may quote what stands there, which of a Secret nobody is to read.
pub(super) fn schema_error(message: &str, is_secret: bool) -> Option<String> {
    let wrong = message.contains("failed to create typed patch object")
        || message.contains("unable to convert unstructured object")
        || message.contains("strict decoding error")
        || message.contains("error decoding from json");
    // `failed to create typed patch object (ns/web; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema`
    wrong.then(|| {
        let why = message
            .split_once("): ")
            .filter(|(before, _)| before.contains("typed patch object"))
            .map_or(message, |(_, why)| why);
        if let Some(unknown) = unknown_field(why) {
            return unknown;
        }
        let words: Vec<&str> = why.split_whitespace().collect();
        let why = words.join(" ");
        let shown = match why.find(", got ") {
            Some(at) if is_secret => &why[..at],
            _ => &why,
        };
        printable::short(shown, 400)
    })
}

/// `.spec.containers[name="web"].ports[containerPort=0].containerPrt: field not declared in schema` in words.
fn unknown_field(why: &str) -> Option<String> {
    let (path, _) = why.split_once(": field not declared in schema")?;
    let mut plain = String::new();
    let mut rest = path.trim_start_matches('.');
    // Items of lists are told by their keys; a name is one to people, too.
    while let Some((before, keys)) = rest.split_once('[') {
        let (keys, after) = keys.split_once(']')?;
        let name = keys
            .strip_prefix("name=\"")
            .and_then(|name| name.split('"').next());
        plain = format!("{plain}{before}[{}]", name.unwrap_or_default());
        rest = after;
    }
    plain += rest;
    let plain = printable::short(&plain, 200);
    let (place, field) = plain.rsplit_once('.').unwrap_or(("", &plain));
    let place = if place.is_empty() {
        String::new()
    } else {
        format!(" in `{place}`")
    };
    let meant = close_names(
        field,
        FIELDS.iter().copied().filter(|known| *known != field),
    );
    Some(match meant.first() {
        Some(meant) => format!("there is no field `{field}`{place}; did you mean `{meant}`?"),
        None => format!("there is no field `{field}`{place}"),
    })
}

/// Fields that people write most, for those that are mistyped.
const FIELDS: [&str; 60] = [
    "annotations",
    "args",
    "automountServiceAccountToken",
    "backend",
    "claimName",
    "command",
    "configMap",
    "configMapKeyRef",
    "configMapRef",
    "containerPort",
    "containers",
    "data",
    "emptyDir",
    "env",
    "envFrom",
    "host",
    "hosts",
    "http",
    "httpGet",
    "image",
    "imagePullPolicy",
    "imagePullSecrets",
    "ingressClassName",
    "initContainers",
    "key",
    "labels",
    "limits",
    "livenessProbe",
    "matchLabels",
    "metadata",
    "mountPath",
    "name",
    "namespace",
    "path",
    "pathType",
    "paths",
    "persistentVolumeClaim",
    "port",
    "ports",
    "protocol",
    "readOnly",
    "readinessProbe",
    "replicas",
    "requests",
    "resources",
    "restartPolicy",
    "rules",
    "secretKeyRef",
    "secretName",
    "secretRef",
    "securityContext",
    "selector",
    "serviceAccountName",
    "startupProbe",
    "storageClassName",
    "stringData",
    "targetPort",
    "template",
    "volumeMounts",
    "volumes",
];

pub(super) fn others_conflict(outcome: &Result<Value, Vec<Conflict>>, friends: &[&str]) -> bool {
    match outcome {
        Ok(_) => false,
        Err(conflicts) => conflicts
            .iter()
            .any(|conflict| !friends.contains(&conflict.manager.as_str())),
    }
}

pub(super) fn explain_conflicts(place: &Place, conflicts: &[Conflict]) -> Error {
    let name = printable::line(&place.name);
    let mut error = Error::of(
        Kind::Conflict,
        format!(
            "{} `{name}` was changed by somebody else than this file",
            place.noun
        ),
    );
    for conflict in conflicts.iter().take(5) {
        error = error.caused_by(format!(
            "`{}` was set by `{}`{}",
            printable::short(&conflict.field, 200),
            printable::short(&conflict.manager, 100),
            who(&conflict.manager)
        ));
    }
    if conflicts.len() > 5 {
        error = error.caused_by(format!("and {} more fields", conflicts.len() - 5));
    }
    let look = shell("kubectl get")
        .arg(&place.noun)
        .arg(&place.name)
        .then("-o yaml")
        .option("-n", place.namespace.as_deref());
    error
        .hint(format!("see what is there now: `{look}`"))
        .hint(Hint::with_remedy(
            Remedy::Force,
            "to apply the file, force it",
        ))
        .hint("to keep what is there: remove those fields from the file")
}

/// What helps against a conflict; a plugin says it in its own flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// To apply the file all the same.
    Force,
}

/// What people know a field manager as.
fn who(manager: &str) -> &'static str {
    match manager {
        "kubectl" => ", that is `kubectl scale` or another command of kubectl",
        "helm" | "Helm" => ": it belongs to a Helm release",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conflicts_are_read_with_field_and_manager() {
        let status: kube::core::Status = serde_json::from_value(json!({
            "code": 409, "reason": "Conflict", "message": "Apply failed with 1 conflict: conflict with \"kubectl\" with subresource \"scale\" using apps/v1: .spec.replicas",
            "details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\" with subresource \"scale\" using apps/v1", "field": ".spec.replicas"}]},
        }))
        .expect("a status");
        assert_eq!(
            conflicts(&status),
            Some(vec![Conflict {
                field: "spec.replicas".into(),
                manager: "kubectl".into()
            }])
        );
        let changed = kube::core::Status {
            message: "the object has been modified".into(),
            ..status
        };
        assert_eq!(conflicts(&changed), None, "another conflict");
    }

    #[test]
    fn a_field_that_there_is_not_is_named() {
        assert_eq!(
            schema_error("failed to create typed patch object (ns/web; apps/v1, Kind=Deployment): .spec.replica: field not declared in schema", false).as_deref(),
            Some("there is no field `replica` in `spec`; did you mean `replicas`?")
        );
        assert_eq!(schema_error("deployments.apps is forbidden", false), None);
        assert_eq!(
            unknown_field(r#".spec.template.spec.containers[name="web"].ports[containerPort=0,protocol="TCP"].containerPrt: field not declared in schema"#).as_deref(),
            Some("there is no field `containerPrt` in `spec.template.spec.containers[web].ports[]`; did you mean `containerPort`?")
        );
        assert_eq!(
            unknown_field(".zzzz: field not declared in schema").as_deref(),
            Some("there is no field `zzzz`")
        );
        let secret = "failed to create typed patch object (ns/s; /v1, Kind=Secret): .stringData: expected map, got &{hunter2}";
        assert_eq!(
            schema_error(secret, true).as_deref(),
            Some(".stringData: expected map")
        );
    }
}

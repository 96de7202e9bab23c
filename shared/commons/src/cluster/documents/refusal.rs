//! Why a document was not applied, in words: conflicts of server-side apply, and fields that its kind does not have.

use serde_json::Value;

use super::Place;
use crate::error::{Error, Hint, Kind};
use crate::printable;
use crate::shell::shell;

/// Why a document was not applied, where it is not the API server's everyday answer.
pub(super) enum Refusal {
    Conflicts(Vec<Conflict>),
    Schema(Vec<Wrong>),
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

/// Something that is wrong with a document, and what helps where that is known.
type Wrong = (String, Option<String>);

/// What is wrong with a document that is not of its kind's form; the API server says it with 500 when it applies, and with
/// 400 when it validates. Of a Secret no value is repeated.
pub(super) fn schema_errors(message: &str, noun: &str) -> Option<Vec<Wrong>> {
    let is_schema = [
        "failed to create typed patch object",
        "unable to convert unstructured object",
        "strict decoding error",
        "error decoding from json",
    ];
    if !is_schema.iter().any(|known| message.contains(known)) {
        return None;
    }
    // `failed to create typed patch object (ns/web; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema`, or several
    // on lines of their own.
    let why = message
        .rsplit_once(", Kind=")
        .map_or(message, |(_, why)| why);
    let why = why.split_once(": ").map_or(why, |(_, why)| why);
    let lines = why.trim_start_matches("errors:").lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty()).take(8);
    Some(lines.map(|line| wrong(line, noun)).collect())
}

/// The failure to write such a document.
pub(super) fn not_of_its_form(place: &Place, wrong: Vec<Wrong>) -> Error {
    let name = printable::line(&place.name);
    let mut error = Error::new(format!(
        "{} `{name}` is not written as the cluster knows it",
        place.noun
    ));
    for (what, remedy) in wrong {
        let is_new = |remedy: &String| {
            error
                .hints()
                .iter()
                .all(|hint| hint.as_ref() != remedy.as_str())
        };
        let remedy = remedy.filter(is_new);
        error = error.caused_by(what).hints_from(remedy);
    }
    error
}

/// One of them in words: `.spec.replicas: expected numeric (int or float), got string`.
fn wrong(line: &str, noun: &str) -> Wrong {
    let is_secret = noun == "secret";
    let Some((path, why)) = line
        .split_once(": ")
        .filter(|(path, _)| path.starts_with('.'))
    else {
        return without_field(line);
    };
    let path = plain(path);
    let (place, field) = path.rsplit_once('.').unwrap_or(("", &path));
    if why == "field not declared in schema" {
        let place = if place.is_empty() {
            String::new()
        } else {
            format!(" in `{place}`")
        };
        let explain = shell("kubectl explain").arg(noun).then("--recursive");
        return (
            format!("there is no field `{field}`{place}"),
            Some(format!("see which fields there are: `{explain}`")),
        );
    }
    if let Some(key) = why.strip_prefix("duplicate entries for key ") {
        let key = printable::short(key.trim_matches(['[', ']']), 100);
        return (
            format!("`{path}` has {key} twice"),
            Some("keep one of them".to_owned()),
        );
    }
    let value = why.strip_prefix("expected string, got &value.valueUnstructured{Value:");
    if let Some(value) = value.map(|value| value.trim_end_matches('}')) {
        let is_scalar = !value.starts_with('[') && !value.starts_with("map[");
        let value = if is_secret {
            "...".to_owned()
        } else {
            printable::short(value, 100)
        };
        return (
            format!("`{path}` must be a string"),
            is_scalar.then(|| format!("put it in quotes: `{field}: \"{value}\"`")),
        );
    }
    let why = why
        .split(", got ")
        .next()
        .filter(|_| is_secret)
        .unwrap_or(why);
    (format!("`{path}`: {}", printable::short(why, 300)), None)
}

/// What the API server says without naming the field.
fn without_field(line: &str) -> Wrong {
    if line.contains("quantities must match") {
        return (
            "one of its quantities is malformed".to_owned(),
            Some("memory is written `256Mi` or `2Gi`, CPU `500m` or `2`".to_owned()),
        );
    }
    if line.contains("illegal base64") {
        return (
            "a value under `data` is not base64".to_owned(),
            Some("put it there in base64 (`base64 -w0 FILE`), or remove this document if the Secret exists already".to_owned()),
        );
    }
    (printable::short(line, 400), None)
}

/// `.spec.containers[name="web"].ports[containerPort=0]` as `spec.containers[web].ports[]`: items of lists are told by their keys, and
/// of these a name is one to people, too.
fn plain(path: &str) -> String {
    let mut plain = String::new();
    let mut rest = path.trim_start_matches('.');
    while let Some((before, (keys, after))) = rest
        .split_once('[')
        .and_then(|(before, rest)| Some((before, rest.split_once(']')?)))
    {
        let name = keys
            .strip_prefix("name=\"")
            .and_then(|name| name.split('"').next());
        plain = format!("{plain}{before}[{}]", name.unwrap_or_default());
        rest = after;
    }
    plain += rest;
    printable::short(&plain, 200)
}

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
    fn what_is_wrong_with_a_document_and_what_helps() {
        let typed = "failed to create typed patch object (ns/web; apps/v1, Kind=Deployment): ";
        let converted = "failed to convert new object (ns/web; apps/v1, Kind=Deployment) to proper version: unable to convert unstructured object to apps/v1, Kind=Deployment: ";
        let explain = "see which fields there are: `kubectl explain deployment --recursive`";
        for (message, what, remedy) in [
            (
                format!("{typed}.spec.replica: field not declared in schema"),
                "there is no field `replica` in `spec`",
                explain,
            ),
            (
                format!("{typed}.zzzz: field not declared in schema"),
                "there is no field `zzzz`",
                explain,
            ),
            (
                format!(
                    r#"{typed}.spec.template.spec.containers[name="web"].ports[containerPort=0,protocol="TCP"].containerPrt: field not declared in schema"#
                ),
                "there is no field `containerPrt` in `spec.template.spec.containers[web].ports[]`",
                explain,
            ),
            (
                format!(
                    r#"{typed}.spec.template.spec.containers[name="c"].env: duplicate entries for key [name="A"]"#
                ),
                r#"`spec.template.spec.containers[c].env` has name="A" twice"#,
                "keep one of them",
            ),
            (
                format!(
                    r#"{typed}.spec.template.spec.containers[name="c"].env[name="B"].value: expected string, got &value.valueUnstructured{{Value:3}}"#
                ),
                "`spec.template.spec.containers[c].env[B].value` must be a string",
                "put it in quotes: `value: \"3\"`",
            ),
            (
                format!("{typed}.spec.replicas: expected numeric (int or float), got string"),
                "`spec.replicas`: expected numeric (int or float), got string",
                "",
            ),
            (
                format!(
                    "{converted}quantities must match the regular expression '^([+-]?[0-9.]+)$'"
                ),
                "one of its quantities is malformed",
                "memory is written `256Mi` or `2Gi`, CPU `500m` or `2`",
            ),
        ] {
            let wrong = schema_errors(&message, "deployment").expect("an error of the schema");
            let (said, helps) = &wrong[0];
            assert_eq!(
                (said.as_str(), helps.as_deref().unwrap_or_default()),
                (what, remedy)
            );
        }
        assert_eq!(
            schema_errors("deployments.apps is forbidden", "deployment"),
            None
        );
        let several = "failed to create typed patch object (ns/c; /v1, Kind=ConfigMap): errors:\n  .data.A: expected string, got &value.valueUnstructured{Value:true}\n  .data.B: expected string, got &value.valueUnstructured{Value:map[c:1]}";
        let wrong = schema_errors(several, "configmap").expect("two errors");
        assert_eq!(
            wrong[0].1.as_deref(),
            Some("put it in quotes: `A: \"true\"`")
        );
        assert_eq!(wrong[1], ("`data.B` must be a string".to_owned(), None));
    }

    #[test]
    fn no_value_of_a_secret_is_repeated() {
        for why in [
            ".stringData.PIN: expected string, got &value.valueUnstructured{Value:hunter2}",
            ".stringData: expected map, got &{hunter2}",
        ] {
            let message =
                format!("failed to create typed patch object (ns/s; /v1, Kind=Secret): {why}");
            let wrong = schema_errors(&message, "secret").expect("an error of the schema");
            assert!(!format!("{wrong:?}").contains("hunter2"), "{wrong:?}");
        }
    }
}

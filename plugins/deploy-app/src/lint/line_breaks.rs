//! Values of Secrets that end in a line break, as `echo VALUE | base64` makes them, and that containers get as variables: a
//! password, name or address that is one character too long.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::context::Known;
use super::{Around, Finding, called, containers, items, shown};

/// One finding a value, however many containers get it.
pub fn findings(objects: &[Value], around: &Around) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for object in objects {
        for (container, _) in containers(object) {
            for (secret, key) in variables(container, objects, around) {
                let Known::There(there) = around.object(objects, "Secret", &secret) else {
                    continue;
                };
                if !value(there, &key).is_some_and(|value| ends_in_line_break(&value)) {
                    continue;
                }
                let finding = Finding::new(
                    format!(
                        "{}: the value of key `{}` ends in a line break, and {} gets it with that as a variable",
                        called(there),
                        shown(&key),
                        called(object)
                    ),
                    "write the value without it: `printf %s VALUE | base64`, or under `stringData`",
                );
                if !findings.iter().any(|other| other.what == finding.what) {
                    findings.push(finding);
                }
            }
        }
    }
    findings
}

/// The Secrets' values that a container gets as variables, by name and key.
fn variables(container: &Value, objects: &[Value], around: &Around) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut all: Vec<(String, String)> = items(container, "env")
        .map(|variable| &variable["valueFrom"]["secretKeyRef"])
        .map(|source| (text(&source["name"]), text(&source["key"])))
        .collect();
    for source in items(container, "envFrom") {
        let name = text(&source["secretRef"]["name"]);
        if let Known::There(secret) = around.object(objects, "Secret", &name) {
            let keys = ["data", "stringData"]
                .into_iter()
                .filter_map(|field| secret[field].as_object())
                .flat_map(|data| data.keys().cloned());
            all.extend(keys.map(|key| (name.clone(), key)));
        }
    }
    all
}

/// The value of a key as the cluster will have it: `stringData` wins.
fn value(secret: &Value, key: &str) -> Option<String> {
    if let Some(text) = secret["stringData"][key].as_str() {
        return Some(text.to_owned());
    }
    let bytes = STANDARD.decode(secret["data"][key].as_str()?.trim()).ok()?;
    String::from_utf8(bytes).ok()
}

/// Text of several lines, such as a key in PEM, ends in one for good reason.
fn ends_in_line_break(value: &str) -> bool {
    value
        .strip_suffix('\n')
        .map(|line| line.trim_end_matches('\r'))
        .is_some_and(|line| !line.is_empty() && !line.contains('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(secret: Value, container: &Value) -> Vec<String> {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "echo"}, "spec": {"containers": [container, container]}});
        let objects = [secret, pod];
        findings(&objects, &Around::nothing(&objects))
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    fn secret(field: &str, value: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, field: {"PASSWORD": value}})
    }

    #[test]
    fn a_value_that_ends_in_a_line_break_and_is_a_variable() {
        let by_key = json!({"name": "c", "env": [{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "login", "key": "PASSWORD"}}}]});
        let all = json!({"name": "c", "envFrom": [{"secretRef": {"name": "login"}}]});
        let what = "secret `login`: the value of key `PASSWORD` ends in a line break, and pod `echo` gets it with that as a variable";
        for container in [&by_key, &all] {
            // `echo tulip7 | base64`, and by hand.
            assert_eq!(said(secret("data", "dHVsaXA3Cg=="), container), [what]);
            assert_eq!(said(secret("stringData", "tulip7\r\n"), container), [what]);
            // `printf tulip7 | base64`; a text of several lines; something that is no text.
            for fine in ["dHVsaXA3", "YQpiCg==", "/wo=", "Cg=="] {
                assert_eq!(said(secret("data", fine), container), [""; 0], "{fine}");
            }
        }
        let mounted = json!({"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/x"}]});
        assert_eq!(
            said(secret("data", "dHVsaXA3Cg=="), &mounted),
            [""; 0],
            "a file may end in one"
        );
    }
}

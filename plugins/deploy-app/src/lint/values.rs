//! Values that the API server refuses at length, or takes for something else: amounts, hosts, path types, names.

use commons::names;
use serde_json::Value;

use super::{Finding, called, containers, is, items, name, shown};
use commons::quantity::{Quantity, meant};

/// Less memory than this is a mistake in writing.
const LITTLE: Quantity = Quantity::mebibytes(1);

/// What is wrong with the values of an object.
pub fn findings(object: &Value) -> Vec<Finding> {
    let mut findings: Vec<Finding> = called_so(object).into_iter().collect();
    for (container, path) in containers(object) {
        for side in ["requests", "limits"] {
            let amounts = container["resources"][side].as_object();
            findings.extend(
                amounts
                    .into_iter()
                    .flatten()
                    .filter_map(|(resource, written)| {
                        amount(
                            object,
                            resource,
                            written,
                            &format!("{path}.resources.{side}.{}", shown(resource)),
                        )
                    }),
            );
        }
    }
    if is(object, "Ingress") {
        findings.extend(ingress(object));
    }
    findings
}

fn called_so(object: &Value) -> Option<Finding> {
    let name = name(object);
    let kind = object["kind"].as_str()?;
    // Roles and their bindings may be called almost anything.
    if name.is_empty() || kind.contains("Role") {
        return None;
    }
    let is_label = name.len() <= 63
        && !name.contains('.')
        && name.starts_with(|c: char| c.is_ascii_lowercase());
    let (fits, form) = match kind {
        "Service" => (
            names::is_name(name) && is_label,
            "lower-case letters, digits and `-`, a letter first, at most 63",
        ),
        _ => (
            names::is_name(name),
            "lower-case letters, digits, `-` and `.`, a letter or digit first and last",
        ),
    };
    (!fits).then(|| {
        Finding::fatal(
            format!("{} has an invalid name", called(object)),
            format!("its `metadata.name` may have {form}"),
        )
    })
}

fn amount(object: &Value, resource: &str, written: &Value, path: &str) -> Option<Finding> {
    let text = match written {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let is_exa = text.strip_suffix("Ei").or(text.strip_suffix('E')).is_some();
    let Ok(quantity) = text.parse::<Quantity>() else {
        return (!is_exa).then(|| {
            Finding::fatal(
                format!(
                    "{}: `{path}` is `{}`, which is not a quantity",
                    called(object),
                    shown(&text)
                ),
                match meant(&text) {
                    Some(meant) => format!("write `{meant}`"),
                    None if resource == "cpu" => {
                        "CPU is written `500m` (half of one) or `2`".into()
                    }
                    None => "memory is written `256Mi` or `2Gi`".into(),
                },
            )
        });
    };
    (resource == "memory" && quantity > Quantity::default() && quantity < LITTLE).then(|| {
        Finding::new(
            format!("{}: `{path}` is `{}`, too little for any program: without a unit it counts bytes, and `m` is a thousandth", called(object), shown(&text)),
            match text.trim_end_matches('m') {
                number if number.chars().all(|c| c.is_ascii_digit()) => {
                    format!("write `{}Mi`", shown(number))
                }
                _ => "memory is written `256Mi` or `2Gi`".into(),
            },
        )
    })
}

fn ingress(object: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (position, rule) in items(&object["spec"], "rules").enumerate() {
        if let Some(host) = rule["host"].as_str() {
            let bare = host.strip_prefix("*.").unwrap_or(host);
            let wrong = match exposure::parse_host(bare) {
                Err(why) => Some(why),
                // The API takes only what DNS would write.
                Ok(parsed) if parsed != bare => {
                    Some(format!("`{}` is written `{parsed}`", shown(bare)))
                }
                Ok(_) => None,
            };
            findings.extend(wrong.map(|why| {
                Finding::fatal(
                    format!("{}: `spec.rules[{position}].host`: {why}", called(object)),
                    "correct that field, and the same in `spec.tls`",
                )
            }));
        }
        for (at, path) in items(&rule["http"], "paths").enumerate() {
            let field = format!("spec.rules[{position}].http.paths[{at}].pathType");
            match path["pathType"].as_str() {
                Some("Prefix" | "Exact" | "ImplementationSpecific") => {}
                Some(other) => findings.push(Finding::fatal(
                    format!(
                        "{}: `{field}` is `{}`, which there is not",
                        called(object),
                        shown(other)
                    ),
                    "write `pathType: Prefix`",
                )),
                None => findings.push(Finding::fatal(
                    format!("{}: `{field}` is missing", called(object)),
                    "write `pathType: Prefix`",
                )),
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(object: &Value) -> Vec<(String, String)> {
        findings(object)
            .into_iter()
            .map(|finding| (finding.what, finding.remedy))
            .collect()
    }

    fn with(resources: &Value) -> Value {
        json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}]}})
    }

    #[test]
    fn amounts_as_people_write_them() {
        for right in [
            "128Mi",
            "1Gi",
            "1G",
            "0.5Gi",
            "1e9",
            "134217728",
            "1Ei",
            "0",
        ] {
            assert_eq!(
                said(&with(&json!({"limits": {"memory": right}}))),
                [],
                "{right}"
            );
        }
        assert_eq!(
            said(&with(
                &json!({"requests": {"cpu": 1, "memory": 134_217_728}})
            )),
            []
        );
        for (wrong, remedy) in [
            ("128MB", "write `128Mi`"),
            ("2 GiB", "write `2Gi`"),
            ("2g", "write `2Gi`"),
            ("200Mo", "write `200Mi`"),
            ("lots", "memory is written `256Mi` or `2Gi`"),
            ("512", "write `512Mi`"),
            ("128m", "write `128Mi`"),
            ("0.5Mi", "memory is written `256Mi` or `2Gi`"),
            ("1.2.3Mi", "memory is written `256Mi` or `2Gi`"),
        ] {
            let found = said(&with(&json!({"limits": {"memory": wrong}})));
            assert_eq!(found.len(), 1, "{wrong}");
            assert_eq!(found[0].1, remedy);
            assert!(
                found[0].0.starts_with(&format!(
                    "pod `p`: `spec.containers[0].resources.limits.memory` is `{wrong}`, "
                )),
                "{found:?}"
            );
        }
        let cpu = said(&with(&json!({"requests": {"cpu": "half"}})));
        assert_eq!(cpu[0].1, "CPU is written `500m` (half of one) or `2`");
    }

    #[test]
    fn hosts_and_paths_of_an_ingress() {
        let rule = |host: &str, path: Value| json!({"kind": "Ingress", "metadata": {"name": "web"}, "spec": {"rules": [{"host": host, "http": {"paths": [path]}}]}});
        let right = json!({"path": "/", "pathType": "Prefix"});
        for host in ["web.kub.example.test", "*.kub.example.test"] {
            assert_eq!(said(&rule(host, right.clone())), []);
        }
        for (host, what) in [
            (
                "https://web.example.test/",
                "ingress `web`: `spec.rules[0].host`: `https://web.example.test/` is a URL; a host is only the name in it, such as `web.example.org`",
            ),
            (
                "Web.example.test",
                "ingress `web`: `spec.rules[0].host`: `Web.example.test` is written `web.example.test`",
            ),
        ] {
            assert_eq!(said(&rule(host, right.clone()))[0].0, what);
        }
        let missing = said(&rule("web.example.test", json!({"path": "/"})));
        assert_eq!(
            missing[0].0,
            "ingress `web`: `spec.rules[0].http.paths[0].pathType` is missing"
        );
        let odd = said(&rule(
            "web.example.test",
            json!({"path": "/", "pathType": "prefix"}),
        ));
        assert_eq!(odd[0].1, "write `pathType: Prefix`");
    }

    #[test]
    fn names_that_cannot_be() {
        let named = |kind: &str, name: &str| json!({"kind": kind, "metadata": {"name": name}});
        for (kind, name) in [
            ("Service", "web-1"),
            ("ConfigMap", "web.conf"),
            ("RoleBinding", "User:Bob"),
            ("Deployment", "1web"),
        ] {
            assert_eq!(said(&named(kind, name)), [], "{kind} {name}");
        }
        for (kind, name) in [
            ("Service", "Web"),
            ("Service", "1web"),
            ("Service", "web.conf"),
            ("ConfigMap", "Web_Config"),
            ("Deployment", "web-"),
        ] {
            assert_eq!(said(&named(kind, name)).len(), 1, "{kind} {name}");
        }
    }
}

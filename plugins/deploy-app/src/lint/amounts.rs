//! Requests and limits that are not quantities (the API server does not name their field), or hardly what was meant.

use commons::quantity::{Quantity, meant};
use serde_json::Value;

use super::{Finding, called, containers, shown};

/// Less memory than this is a mistake in writing.
const LITTLE: Quantity = Quantity::mebibytes(1);

/// What is wrong with the requests and limits of an object's containers.
pub fn findings(object: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (container, path) in containers(object) {
        for side in ["requests", "limits"] {
            let amounts = container["resources"][side].as_object();
            for (resource, written) in amounts.into_iter().flatten() {
                let text = match written {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let field = format!("{path}.resources.{side}.{}", shown(resource));
                findings.extend(amount(&called(object), &field, resource, &text));
            }
        }
    }
    findings
}

fn amount(object: &str, field: &str, resource: &str, text: &str) -> Option<Finding> {
    let what = format!("{object}: `{field}` is `{}`", shown(text));
    let like = if resource == "cpu" {
        "CPU is written `500m` (half of one) or `2`"
    } else {
        "memory is written `256Mi` or `2Gi`"
    };
    match text.parse::<Quantity>() {
        // More than a number here can hold.
        Err(_) if text.ends_with('E') || text.ends_with("Ei") => None,
        Err(_) => Some(Finding::fatal(
            format!("{what}, which is not a quantity"),
            meant(text).map_or(like.to_owned(), |meant| format!("write `{meant}`")),
        )),
        Ok(amount) if resource == "memory" && amount > Quantity::default() && amount < LITTLE => {
            let number = text.trim_end_matches('m');
            let is_whole = number.chars().all(|c| c.is_ascii_digit());
            Some(Finding::new(
                format!(
                    "{what}, too little for any program: without a unit it counts bytes, and `m` is a thousandth"
                ),
                if is_whole {
                    format!("write `{}Mi`", shown(number))
                } else {
                    like.to_owned()
                },
            ))
        }
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(resources: &Value) -> Vec<(String, String)> {
        let pod = json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}]}});
        let said = |finding: Finding| (finding.what, finding.remedy);
        findings(&pod).into_iter().map(said).collect()
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
            assert_eq!(said(&json!({"limits": {"memory": right}})), [], "{right}");
        }
        assert_eq!(
            said(&json!({"requests": {"cpu": 1, "memory": 134_217_728}})),
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
            let found = said(&json!({"limits": {"memory": wrong}}));
            assert_eq!(found.len(), 1, "{wrong}");
            let (what, told) = &found[0];
            let field =
                format!("pod `p`: `spec.containers[0].resources.limits.memory` is `{wrong}`, ");
            assert!(what.starts_with(&field), "{what}");
            assert_eq!(told, remedy, "{wrong}");
        }
        let cpu = said(&json!({"requests": {"cpu": "half"}}));
        assert_eq!(cpu[0].1, "CPU is written `500m` (half of one) or `2`");
    }
}

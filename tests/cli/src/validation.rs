//! What the API server refuses as invalid.

use serde_json::Value;

use crate::http::Response;
use crate::target::Target;

/// One fault of an object: its field, the value (already as it is printed) and what is wrong.
struct Fault(String, String, String);

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Checks an object; `stored` is what it replaces.
pub fn check(
    target: &Target,
    name: &str,
    object: &Value,
    stored: Option<&Value>,
) -> Result<(), Response> {
    let mut faults = Vec::new();
    names(target, name, object, &mut faults);
    match target.plural.as_str() {
        "deployments" | "statefulsets" | "daemonsets" => {
            workload(object, stored, &mut faults);
        }
        "pods" => pod("spec", &object["spec"], &mut faults),
        "services" => service(object, &mut faults),
        "ingresses" => ingress(object, &mut faults),
        "configmaps" | "secrets" => data(object, &mut faults),
        "httproutes" => hostnames(object, &mut faults),
        _ => {}
    }
    let list: Vec<String> = faults
        .into_iter()
        .map(|Fault(field, value, why)| {
            if value.is_empty() {
                format!("{field}: {why}")
            } else {
                format!("{field}: Invalid value: {value}: {why}")
            }
        })
        .collect();
    let text = match &list[..] {
        [] => return Ok(()),
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let message = format!("{} {name:?} is invalid: {text}", target.qualified_kind());
    Err(target.refusal(422, "Invalid", name, message))
}

fn names(target: &Target, name: &str, object: &Value, faults: &mut Vec<Fault>) {
    let longest = match target.plural.as_str() {
        "jobs" | "services" => 63,
        _ => 253,
    };
    if name.is_empty() {
        faults.push(Fault(
            "metadata.name".into(),
            String::new(),
            "Required value: name or generateName is required".into(),
        ));
    } else if target.plural == "services" && !is_1035(name) {
        faults.push(Fault(
            "metadata.name".into(),
            format!("{name:?}"),
            LABEL_1035.into(),
        ));
    } else if !is_name(name, longest, target.group == crate::target::RBAC) {
        faults.push(Fault(
            "metadata.name".into(),
            format!("{name:?}"),
            SUBDOMAIN.into(),
        ));
    }
    let mut labels = vec![("metadata.labels", &object["metadata"]["labels"])];
    if object["spec"]["template"].is_object() {
        labels.push((
            "spec.template.labels",
            &object["spec"]["template"]["metadata"]["labels"],
        ));
    }
    for (field, labels) in labels {
        for value in labels.as_object().into_iter().flatten() {
            let value = value.1.as_str().unwrap_or_default();
            if value.len() > 63 {
                faults.push(Fault(
                    field.into(),
                    format!("{value:?}"),
                    "must be no more than 63 bytes".into(),
                ));
            } else if !is_label(value) {
                faults.push(Fault(
                    field.into(),
                    format!("{value:?}"),
                    LABEL_VALUE.into(),
                ));
            }
        }
    }
}

fn workload(object: &Value, stored: Option<&Value>, faults: &mut Vec<Fault>) {
    let spec = &object["spec"];
    let labels = &spec["template"]["metadata"]["labels"];
    if !spec["selector"].is_object() {
        faults.push(Fault(
            "spec.selector".into(),
            String::new(),
            "Required value".into(),
        ));
    } else if !crate::selector::matches(&spec["selector"], labels) {
        faults.push(Fault(
            "spec.template.metadata.labels".into(),
            go_map(labels),
            "`selector` does not match template `labels`".into(),
        ));
    }
    if stored.is_some_and(|stored| stored["spec"]["selector"] != spec["selector"]) {
        faults.push(Fault(
            "spec.selector".into(),
            format!("{{\"matchLabels\":{}}}", spec["selector"]["matchLabels"]),
            "field is immutable".into(),
        ));
    }
    if spec["replicas"]
        .as_i64()
        .is_some_and(|replicas| replicas < 0)
    {
        faults.push(Fault(
            "spec.replicas".into(),
            spec["replicas"].to_string(),
            "must be greater than or equal to 0".into(),
        ));
    }
    pod("spec.template.spec", &spec["template"]["spec"], faults);
}

/// `map[string]string{"app":"web"}`
fn go_map(labels: &Value) -> String {
    format!(
        "map[string]string{}",
        if labels.is_object() {
            labels.to_string()
        } else {
            "(nil)".into()
        }
    )
}

fn pod(at: &str, spec: &Value, faults: &mut Vec<Fault>) {
    let containers = spec["containers"].as_array().cloned().unwrap_or_default();
    if containers.is_empty() {
        faults.push(Fault(
            format!("{at}.containers"),
            String::new(),
            "Required value".into(),
        ));
    }
    for (index, container) in containers.iter().enumerate() {
        let at = format!("{at}.containers[{index}]");
        let image = container["image"].as_str().unwrap_or_default();
        if image.is_empty() {
            faults.push(Fault(
                format!("{at}.image"),
                String::new(),
                "Required value".into(),
            ));
        } else if image.trim() != image {
            faults.push(Fault(
                format!("{at}.image"),
                format!("{image:?}"),
                "must not have leading or trailing whitespace".into(),
            ));
        }
        for (place, port) in container["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            number(
                &format!("{at}.ports[{place}].containerPort"),
                &port["containerPort"],
                faults,
            );
        }
        for (place, variable) in container["env"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let name = variable["name"].as_str().unwrap_or_default();
            if name.is_empty()
                || name.contains('=')
                || !name.chars().all(|c| c.is_ascii_graphic() || c == ' ')
            {
                faults.push(Fault(format!("{at}.env[{place}].name"), format!("{name:?}"), "a valid environment variable name must consist only of printable ASCII characters other than '='".into()));
            }
        }
        for kind in ["requests", "limits"] {
            for (resource, value) in container["resources"][kind]
                .as_object()
                .into_iter()
                .flatten()
            {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                let Some(amount) = crate::quantity::parse(&text) else {
                    faults.push(Fault(format!("{at}.resources.{kind}[{resource}]"), format!("{text:?}"), "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".into()));
                    continue;
                };
                let limit = container["resources"]["limits"][resource].as_str();
                if kind == "requests"
                    && limit
                        .and_then(crate::quantity::parse)
                        .is_some_and(|limit| amount > limit)
                {
                    faults.push(Fault(
                        format!("{at}.resources.requests"),
                        format!("{text:?}"),
                        format!(
                            "must be less than or equal to {resource} limit of {}",
                            limit.unwrap_or_default()
                        ),
                    ));
                }
            }
        }
    }
}

fn number(field: &str, value: &Value, faults: &mut Vec<Fault>) {
    if !value
        .as_u64()
        .is_some_and(|port| (1..=65535).contains(&port))
    {
        faults.push(Fault(
            field.into(),
            value.to_string(),
            "must be between 1 and 65535, inclusive".into(),
        ));
    }
}

fn service(object: &Value, faults: &mut Vec<Fault>) {
    let spec = &object["spec"];
    let ports = spec["ports"].as_array().cloned().unwrap_or_default();
    if ports.is_empty() && spec["type"] != "ExternalName" && spec["clusterIP"] != "None" {
        faults.push(Fault(
            "spec.ports".into(),
            String::new(),
            "Required value".into(),
        ));
    }
    for (index, port) in ports.iter().enumerate() {
        number(&format!("spec.ports[{index}].port"), &port["port"], faults);
        if ports.len() > 1 && port["name"].as_str().is_none_or(str::is_empty) {
            faults.push(Fault(
                format!("spec.ports[{index}].name"),
                String::new(),
                "Required value".into(),
            ));
        }
    }
}

fn ingress(object: &Value, faults: &mut Vec<Fault>) {
    for (index, rule) in object["spec"]["rules"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        host(&format!("spec.rules[{index}].host"), &rule["host"], faults);
        for (place, path) in rule["http"]["paths"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            if path["pathType"].is_null() {
                faults.push(Fault(
                    format!("spec.rules[{index}].http.paths[{place}].pathType"),
                    String::new(),
                    "Required value: pathType must be specified".into(),
                ));
            }
        }
    }
    for (index, tls) in object["spec"]["tls"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        for (place, name) in tls["hosts"].as_array().into_iter().flatten().enumerate() {
            host(&format!("spec.tls[{index}].hosts[{place}]"), name, faults);
        }
    }
}

fn hostnames(object: &Value, faults: &mut Vec<Fault>) {
    for (index, name) in object["spec"]["hostnames"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        host(&format!("spec.hostnames[{index}]"), name, faults);
    }
}

fn host(field: &str, value: &Value, faults: &mut Vec<Fault>) {
    let Some(text) = value.as_str() else { return };
    let name = text.strip_prefix("*.").unwrap_or(text);
    if !text.is_empty() && !is_name(name, 253, false) {
        faults.push(Fault(field.into(), format!("{text:?}"), SUBDOMAIN.into()));
    }
}

fn data(object: &Value, faults: &mut Vec<Fault>) {
    let mut size = 0;
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        size += key.len() + value.as_str().map_or(0, str::len);
        if key.is_empty()
            || !key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
        {
            faults.push(Fault(format!("data[{key}]"), format!("{key:?}"), "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')".into()));
        }
    }
    if size > 1024 * 1024 {
        faults.push(Fault(
            "data".into(),
            String::new(),
            "Too long: may not be more than 1048576 bytes".into(),
        ));
    }
}

fn is_name(text: &str, longest: usize, in_rbac: bool) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label = |label: &str| {
        label.starts_with(alphanumeric)
            && label.ends_with(alphanumeric)
            && label.chars().all(|c| alphanumeric(c) || c == '-')
    };
    if in_rbac {
        return !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '%']);
    }
    text.len() <= longest && text.split('.').all(label)
}

fn is_1035(text: &str) -> bool {
    is_name(text, 63, false)
        && !text.contains('.')
        && text.starts_with(|c: char| c.is_ascii_lowercase())
}

fn is_label(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    text.is_empty()
        || text.starts_with(alphanumeric)
            && text.ends_with(alphanumeric)
            && text.chars().all(|c| alphanumeric(c) || "-._".contains(c))
}

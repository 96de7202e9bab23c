//! What a cluster's own rules make of an object before it is stored: quotas, limits, Pod Security, and what a test adds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::JobController;
use crate::http::Response;
use crate::merge_patch::merge;
use crate::quantity;
use crate::rbac::User;
use crate::store::State;
use crate::target::{RBAC, Target};

/// What a test has switched on.
#[derive(Default)]
pub struct Policies {
    /// The class that an Ingress without one gets.
    pub default_ingress_class: Option<String>,
    /// Whether the admission webhook of ingress-nginx is there.
    pub nginx_webhook: bool,
    /// What is merged into every object of a kind that is written, as a policy does that changes objects.
    pub rewrites: Vec<(String, Value)>,
}

impl State {
    /// Changes or refuses an object, in the API server's words; `stored` is what it replaces. What is to be said beside comes back.
    pub fn admit(
        &self,
        user: &User,
        target: &Target,
        name: &str,
        object: &mut Value,
        stored: Option<&Value>,
    ) -> Result<Vec<String>, Response> {
        let mut warnings = Vec::new();
        for (plural, change) in &self.policies.rewrites {
            if *plural == target.plural {
                merge(object, change);
            }
        }
        match target.plural.as_str() {
            "jobs" if stored.is_none() => self.job(object),
            "roles" => {
                let wanted = object["rules"].as_array().cloned().unwrap_or_default();
                self.refuse_escalation(user, target, name, &wanted)?;
            }
            "rolebindings" => self.role_binding(user, target, name, object, stored)?,
            "ingresses" => self.ingress(target, name, object, stored.is_none())?,
            "pods" if stored.is_none() => {
                self.limits(target, name, object)?;
                self.pod_security(target, name, object, &mut warnings)?;
            }
            "deployments" | "statefulsets" | "daemonsets" | "replicasets" => {
                self.pod_security(target, name, object, &mut warnings)?;
            }
            _ => {}
        }
        if stored.is_none() {
            self.quota(target, name, object)?;
        }
        Ok(warnings)
    }

    fn job(&self, object: &mut Value) {
        let spec = &mut object["spec"];
        spec["suspend"] = json!(self.jobs == JobController::Suspends);
        spec["completionMode"] = json!("NonIndexed");
        if self.jobs == JobController::StripsTtl {
            merge(spec, &json!({"ttlSecondsAfterFinished": null}));
        }
        object["status"] = json!({});
    }

    fn role_binding(
        &self,
        user: &User,
        target: &Target,
        name: &str,
        object: &Value,
        stored: Option<&Value>,
    ) -> Result<(), Response> {
        let role_ref = &object["roleRef"];
        if stored.is_some_and(|stored| stored["roleRef"] != *role_ref) {
            let message = format!(
                "RoleBinding.{RBAC} {name:?} is invalid: roleRef: Invalid value: {role_ref}: cannot change roleRef"
            );
            return Err(target.refusal(422, "Invalid", name, message));
        }
        let Some(wanted) = self.role(&target.namespace, role_ref) else {
            let role = role_ref["name"].as_str().unwrap_or_default();
            return Err(Response::status(
                404,
                "NotFound",
                format!("roles.{RBAC} {role:?} not found"),
                &json!({"name": role, "group": RBAC, "kind": "roles"}),
            ));
        };
        self.refuse_escalation(user, target, name, &wanted)
    }

    fn ingress(
        &self,
        target: &Target,
        name: &str,
        object: &mut Value,
        is_new: bool,
    ) -> Result<(), Response> {
        let annotated =
            object["metadata"]["annotations"]["kubernetes.io/ingress.class"].is_string();
        if is_new
            && !annotated
            && object["spec"]["ingressClassName"].is_null()
            && let Some(class) = &self.policies.default_ingress_class
        {
            object["spec"]["ingressClassName"] = json!(class);
        }
        if !self.policies.nginx_webhook {
            return Ok(());
        }
        for (host, path) in host_paths(object) {
            for ((namespace, plural, other), stored) in &self.objects {
                let is_same = (namespace, other.as_str()) == (&target.namespace, name);
                if plural == "ingresses"
                    && !is_same
                    && host_paths(stored).contains(&(host.clone(), path.clone()))
                {
                    let message = format!(
                        "admission webhook \"validate.nginx.ingress.kubernetes.io\" denied the request: host {host:?} and path {path:?} is already defined in ingress {namespace}/{other}"
                    );
                    return Err(Response::status(400, "BadRequest", message, &Value::Null));
                }
            }
        }
        Ok(())
    }

    /// The `LimitRanges` of the namespace.
    fn limits(&self, target: &Target, name: &str, pod: &mut Value) -> Result<(), Response> {
        let ranges: Vec<Value> = self
            .in_namespace("limitranges", &target.namespace)
            .flat_map(|range| range["spec"]["limits"].as_array().into_iter().flatten())
            .filter(|limit| limit["type"] == "Container")
            .cloned()
            .collect();
        let mut faults = Vec::new();
        for container in pod["spec"]["containers"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            for range in &ranges {
                for (kind, defaults) in [("limits", "default"), ("requests", "defaultRequest")] {
                    for (resource, value) in range[defaults].as_object().into_iter().flatten() {
                        let field = &mut container["resources"][kind][resource];
                        if field.is_null() {
                            *field = value.clone();
                        }
                    }
                }
                for (resource, most) in range["max"].as_object().into_iter().flatten() {
                    let limit = container["resources"]["limits"][resource]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned();
                    let most = most.as_str().unwrap_or_default();
                    match (quantity::parse(&limit), quantity::parse(most)) {
                        (None, _) => faults.push(format!("maximum {resource} usage per Container is {most}.  No limit is specified")),
                        (Some(limited), Some(allowed)) if limited > allowed => {
                            faults.push(format!("maximum {resource} usage per Container is {most}, but limit is {limit}"));
                        }
                        _ => {}
                    }
                }
            }
        }
        let text = match &faults[..] {
            [] => return Ok(()),
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        Err(target.refusal(
            403,
            "Forbidden",
            name,
            format!("pods {name:?} is forbidden: {text}"),
        ))
    }

    fn pod_security(
        &self,
        target: &Target,
        name: &str,
        object: &Value,
        warnings: &mut Vec<String>,
    ) -> Result<(), Response> {
        let key = (
            String::new(),
            "namespaces".to_owned(),
            target.namespace.clone(),
        );
        let Some(namespace) = self.objects.get(&key) else {
            return Ok(());
        };
        let label = |mode: &str| {
            namespace["metadata"]["labels"][format!("pod-security.kubernetes.io/{mode}")]
                == "restricted"
        };
        let is_pod = target.plural == "pods";
        let spec = if is_pod {
            &object["spec"]
        } else {
            &object["spec"]["template"]["spec"]
        };
        let violations = violations(spec);
        if violations.is_empty() {
            return Ok(());
        }
        let text = violations.join(", ");
        if is_pod && label("enforce") {
            let message = format!(
                "pods {name:?} is forbidden: violates PodSecurity \"restricted:latest\": {text}"
            );
            return Err(target.refusal(403, "Forbidden", name, message));
        }
        if label("warn") || (!is_pod && label("enforce")) {
            warnings.push(format!(
                "would violate PodSecurity \"restricted:latest\": {text}"
            ));
        }
        Ok(())
    }

    /// The quotas of the namespace.
    fn quota(&self, target: &Target, name: &str, object: &Value) -> Result<(), Response> {
        let wanted = usage(target, object);
        for quota in self.in_namespace("resourcequotas", &target.namespace) {
            let of = quota["metadata"]["name"].as_str().unwrap_or_default();
            let forbidden = |text: String| {
                let message = format!("{} {name:?} is forbidden: {text}", target.qualified());
                target.refusal(403, "Forbidden", name, message)
            };
            let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            let mut beyond = Vec::new();
            for (resource, hard) in quota["spec"]["hard"].as_object().into_iter().flatten() {
                let computed = matches!(
                    resource.as_str(),
                    "cpu"
                        | "memory"
                        | "requests.cpu"
                        | "requests.memory"
                        | "limits.cpu"
                        | "limits.memory"
                );
                if computed && target.plural == "pods" {
                    let without = containers(object)
                        .filter(|container| amount(container, resource).is_none());
                    let without: Vec<&str> = without
                        .filter_map(|container| container["name"].as_str())
                        .collect();
                    if !without.is_empty() {
                        missing.insert(resource, without);
                    }
                }
                let Some(wanted) = wanted.get(resource) else {
                    continue;
                };
                let hard = hard.as_str().unwrap_or_default();
                let used = quota["status"]["used"][resource].as_str().unwrap_or("0");
                let sum = quantity::parse(used).unwrap_or_default() + wanted;
                if quantity::parse(hard).is_some_and(|hard| sum > hard) {
                    let wanted = quantity::print(*wanted, hard);
                    beyond.push((resource, wanted, used.to_owned(), hard.to_owned()));
                }
            }
            if !missing.is_empty() {
                let missing: Vec<String> = missing
                    .iter()
                    .map(|(resource, names)| format!("{resource} for: {}", names.join(",")))
                    .collect();
                return Err(forbidden(format!(
                    "failed quota: {of}: must specify {}",
                    missing.join("; ")
                )));
            }
            if !beyond.is_empty() {
                let list = |which: fn(&(&String, String, String, String)) -> String| {
                    beyond.iter().map(which).collect::<Vec<_>>().join(",")
                };
                return Err(forbidden(format!(
                    "exceeded quota: {of}, requested: {}, used: {}, limited: {}",
                    list(|(resource, wanted, ..)| format!("{resource}={wanted}")),
                    list(|(resource, _, used, _)| format!("{resource}={used}")),
                    list(|(resource, .., hard)| format!("{resource}={hard}")),
                )));
            }
        }
        Ok(())
    }

    /// Counts an object that came (or, with -1, went) in the quotas of its namespace.
    pub fn charge(&mut self, target: &Target, object: &Value, sign: i128) {
        let usage = usage(target, object);
        let keys = self
            .objects
            .keys()
            .filter(|key| key.0 == target.namespace && key.1 == "resourcequotas");
        for key in keys.cloned().collect::<Vec<_>>() {
            let mut quota = self.objects[&key].clone();
            for (resource, hard) in quota["spec"]["hard"]
                .clone()
                .as_object()
                .into_iter()
                .flatten()
            {
                let Some(amount) = usage.get(resource) else {
                    continue;
                };
                let used = quota["status"]["used"][resource]
                    .as_str()
                    .unwrap_or("0")
                    .to_owned();
                let sum = quantity::parse(&used).unwrap_or_default() + sign * amount;
                quota["status"]["used"][resource] =
                    json!(quantity::print(sum, hard.as_str().unwrap_or_default()));
            }
            if quota != self.objects[&key] {
                self.store(&key, quota);
            }
        }
    }
}

/// All hosts of an Ingress with their paths.
fn host_paths(ingress: &Value) -> Vec<(String, String)> {
    let rules = ingress["spec"]["rules"].as_array().into_iter().flatten();
    let of = |rule: &Value| {
        let host = rule["host"].as_str().unwrap_or_default().to_owned();
        let paths = rule["http"]["paths"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        paths.into_iter().map(move |path| {
            (
                host.clone(),
                path["path"].as_str().unwrap_or("/").to_owned(),
            )
        })
    };
    rules.flat_map(of).collect()
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["spec"]["containers"].as_array().into_iter().flatten()
}

/// How much of `limits.cpu`, `requests.memory`, `cpu`... a container takes.
fn amount(container: &Value, resource: &str) -> Option<i128> {
    let (kind, resource) = resource.split_once('.').unwrap_or(("requests", resource));
    container["resources"][kind][resource]
        .as_str()
        .and_then(quantity::parse)
}

/// What an object counts for in quotas, in thousandths.
fn usage(target: &Target, object: &Value) -> BTreeMap<String, i128> {
    let mut usage = BTreeMap::from([(format!("count/{}", target.qualified()), 1000)]);
    if target.group.is_empty() {
        usage.insert(target.plural.clone(), 1000);
    }
    if target.plural == "pods" {
        for resource in [
            "cpu",
            "memory",
            "requests.cpu",
            "requests.memory",
            "limits.cpu",
            "limits.memory",
        ] {
            let sum = containers(object)
                .filter_map(|container| amount(container, resource))
                .sum();
            usage.insert(resource.into(), sum);
        }
    }
    usage
}

/// What the level `restricted` of Pod Security has against a pod, in its words.
fn violations(spec: &Value) -> Vec<String> {
    let containers: Vec<&Value> = spec["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let named = |bad: &dyn Fn(&Value) -> bool| -> Option<String> {
        let names: Vec<String> = containers
            .iter()
            .filter(|container| bad(container))
            .map(|container| container["name"].to_string())
            .collect();
        match &names[..] {
            [] => None,
            [one] => Some(format!("container {one}")),
            several => Some(format!("containers {}", several.join(", "))),
        }
    };
    let pod = &spec["securityContext"];
    let mut found = Vec::new();
    if let Some(names) =
        named(&|container| container["securityContext"]["allowPrivilegeEscalation"] != false)
    {
        found.push(format!("allowPrivilegeEscalation != false ({names} must set securityContext.allowPrivilegeEscalation=false)"));
    }
    let all = json!("ALL");
    let drops = |container: &Value| {
        container["securityContext"]["capabilities"]["drop"]
            .as_array()
            .is_some_and(|drop| drop.contains(&all))
    };
    if let Some(names) = named(&|container| !drops(container)) {
        found.push(format!("unrestricted capabilities ({names} must set securityContext.capabilities.drop=[\"ALL\"])"));
    }
    let root = |container: &Value| match &container["securityContext"]["runAsNonRoot"] {
        Value::Null => pod["runAsNonRoot"] != true,
        own => *own != true,
    };
    if let Some(names) = named(&root) {
        found.push(format!(
            "runAsNonRoot != true (pod or {names} must set securityContext.runAsNonRoot=true)"
        ));
    }
    let profiled = |context: &Value| {
        matches!(
            context["seccompProfile"]["type"].as_str(),
            Some("RuntimeDefault" | "Localhost")
        )
    };
    if let Some(names) =
        named(&|container| !profiled(pod) && !profiled(&container["securityContext"]))
    {
        found.push(format!("seccompProfile (pod or {names} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"));
    }
    found
}

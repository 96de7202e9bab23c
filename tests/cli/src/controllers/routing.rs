//! Endpoints, and what ingress and gateway controllers make of Ingresses and `HTTPRoutes`.

use base64::Engine as _;
use serde_json::{Value, json};

use super::controller;
use super::workloads::is_ready;
use crate::selector;
use crate::store::{Key, State};

pub fn reconcile(state: &mut State) {
    for key in state.cared_for("services") {
        endpoints(state, &key);
    }
    for key in state.cared_for("endpoints") {
        if !state
            .objects
            .contains_key(&(key.0.clone(), "services".to_owned(), key.2.clone()))
        {
            state.discard(&key);
        }
    }
    let Some(entrance) = state.world.entrance else {
        return;
    };
    for key in state.cared_for("ingresses") {
        let class = &state.objects[&key]["spec"]["ingressClassName"];
        if state
            .world
            .class
            .as_ref()
            .is_none_or(|served| class == served)
        {
            state.change(&key, |ingress| {
                ingress["status"] =
                    json!({"loadBalancer": {"ingress": [{"ip": entrance.to_string()}]}});
            });
        }
    }
    for key in state.cared_for("httproutes") {
        route(state, &key);
    }
}

/// The port of a pod that a Service's port leads to.
fn target_port(service_port: &Value, pod: &Value) -> Option<u16> {
    let target = &service_port["targetPort"];
    if let Some(number) = target.as_u64() {
        return u16::try_from(number).ok();
    }
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports =
        containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let port = ports.find(|port| port["name"] == *target)?["containerPort"].as_u64()?;
    u16::try_from(port).ok()
}

fn selects(service: &Value, pod: &Value) -> bool {
    let chosen = &service["spec"]["selector"];
    chosen.as_object().is_some_and(|labels| !labels.is_empty())
        && selector::matches(&json!({"matchLabels": chosen}), &pod["metadata"]["labels"])
}

fn endpoints(state: &mut State, key: &Key) {
    let service = state.objects[key].clone();
    if service["spec"]["selector"].is_null() {
        return;
    }
    let pods: Vec<Value> = state
        .in_namespace("pods", &key.0)
        .filter(|pod| selects(&service, pod))
        .cloned()
        .collect();
    let addresses = |ready: bool| -> Vec<Value> {
        let pods = pods
            .iter()
            .filter(|pod| is_ready(pod) == ready && pod["status"]["podIP"].is_string());
        let address = |pod: &Value| {
            let metadata = &pod["metadata"];
            json!({"ip": pod["status"]["podIP"], "nodeName": "node-1", "targetRef": {
                "kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"],
            }})
        };
        pods.map(address).collect()
    };
    let service_ports: Vec<&Value> = service["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let ports: Vec<Value> = service_ports
        .iter()
        .filter_map(|port| {
            let number = pods
                .iter()
                .find_map(|pod| target_port(port, pod))
                .or_else(|| target_port(port, &Value::Null))?;
            let mut shown = json!({"port": number, "protocol": port["protocol"]});
            if !port["name"].is_null() {
                shown["name"] = port["name"].clone();
            }
            Some(shown)
        })
        .collect();
    let (ready, unready) = (addresses(true), addresses(false));
    let mut subsets = json!([]);
    // Where no pod has a port of that name, there is nothing to be reached.
    let somebody = !ready.is_empty() || !unready.is_empty();
    let has_none = service_ports.is_empty() && service["spec"]["clusterIP"] == "None";
    if somebody && (has_none || !ports.is_empty()) {
        let mut subset = if has_none {
            json!({})
        } else {
            json!({"ports": ports})
        };
        for (field, list) in [("addresses", &ready), ("notReadyAddresses", &unready)] {
            if !list.is_empty() {
                subset[field] = json!(list);
            }
        }
        subsets = json!([subset]);
    }
    let user = controller("endpoint-controller");
    let metadata =
        json!({"namespace": key.0, "name": key.2, "labels": service["metadata"]["labels"]});
    let mut object =
        json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets});
    if subsets == json!([])
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("subsets");
    }
    submit(state, &user, "endpoints", &key.2, object);
    let conditions = |ready: bool| json!({"ready": ready, "serving": ready, "terminating": false});
    let slice = |list: &[Value], ready: bool| -> Vec<Value> {
        let one = |address: &Value| json!({"addresses": [address["ip"]], "conditions": conditions(ready), "targetRef": address["targetRef"], "nodeName": "node-1"});
        list.iter().map(one).collect()
    };
    let name = format!("{}-{}", key.2, crate::store::letters(&key.2, 5));
    let listed = [slice(&ready, true), slice(&unready, false)].concat();
    let object = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "namespace": key.0, "name": name, "ownerReferences": super::owner(&service),
            "labels": {"kubernetes.io/service-name": key.2, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
        },
        "endpoints": listed, "ports": ports,
    });
    submit(
        state,
        &controller("endpointslice-controller"),
        "endpointslices",
        &name,
        object,
    );
}

/// Writes an object unless it is there as it is to be.
fn submit(state: &mut State, user: &crate::rbac::User, plural: &str, name: &str, object: Value) {
    let namespace = object["metadata"]["namespace"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let stored = state
        .objects
        .get(&(namespace, plural.to_owned(), name.to_owned()));
    let same = stored.is_some_and(|stored| {
        ["subsets", "endpoints", "ports"]
            .iter()
            .all(|field| stored[*field] == object[*field])
    });
    if !same {
        // Nothing refuses what controllers write of their own.
        let _ = state.submit(user, "kube-controller-manager", object);
    }
}

/// What the gateway's controller says of a route.
fn route(state: &mut State, key: &Key) {
    let route = state.objects[key].clone();
    let generation = &route["metadata"]["generation"];
    let now = state.now.to_string();
    let condition = |kind: &str, fault: Option<(&str, String)>| {
        let (reason, message) = fault.clone().unwrap_or((
            if kind == "Accepted" {
                "Accepted"
            } else {
                "ResolvedRefs"
            },
            String::new(),
        ));
        json!({
            "type": kind, "status": if fault.is_none() { "True" } else { "False" }, "reason": reason, "message": message,
            "observedGeneration": generation, "lastTransitionTime": now,
        })
    };
    let mut parents = Vec::new();
    for parent in route["spec"]["parentRefs"].as_array().into_iter().flatten() {
        let namespace = parent["namespace"].as_str().unwrap_or(&key.0).to_owned();
        let plural = if parent["kind"] == "ListenerSet" {
            "listenersets"
        } else {
            "gateways"
        };
        let name = parent["name"].as_str().unwrap_or_default().to_owned();
        // Nobody speaks for a parent that does not exist.
        let Some(gateway) = state.objects.get(&(namespace, plural.to_owned(), name)) else {
            continue;
        };
        let refused = match fit(&route, parent, gateway, &key.0) {
            Fit::Accepted => None,
            Fit::Namespace => Some((
                "NotAllowedByListeners",
                "No listener allows routes of this namespace".to_owned(),
            )),
            Fit::Hostname => Some((
                "NoMatchingListenerHostname",
                "No matching listener hostname".to_owned(),
            )),
            Fit::Section => Some(("NoMatchingParent", "No matching listener".to_owned())),
        };
        let backends = route["spec"]["rules"].as_array().into_iter().flatten();
        let backends =
            backends.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten());
        let absent = backends.into_iter().find_map(|backend| {
            let name = backend["name"].as_str().unwrap_or_default();
            let there = state.objects.contains_key(&(
                key.0.clone(),
                "services".to_owned(),
                name.to_owned(),
            ));
            (!there).then(|| ("BackendNotFound", format!("service {name:?} not found")))
        });
        parents.push(json!({
            "parentRef": parent, "controllerName": "traefik.io/gateway-controller",
            "conditions": [condition("Accepted", refused), condition("ResolvedRefs", absent)],
        }));
    }
    let status = json!({"parents": parents});
    // The time of what stays as it is stays as it was.
    let plain = |status: &Value| status.to_string().replace(&now, "");
    if plain(&route["status"]) != plain(&status)
        && (route["status"]["parents"] != json!([]) || !parents.is_empty())
    {
        state.change(key, |route| route["status"] = status);
    }
}

enum Fit {
    Accepted,
    Namespace,
    Hostname,
    Section,
}

fn fit(route: &Value, parent: &Value, gateway: &Value, namespace: &str) -> Fit {
    let listeners: Vec<&Value> = gateway["spec"]["listeners"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let named = |listener: &&&Value| {
        parent["sectionName"].is_null() || parent["sectionName"] == listener["name"]
    };
    let own = gateway["metadata"]["namespace"] == namespace;
    let open = |listener: &&&Value| own || listener["allowedRoutes"]["namespaces"]["from"] == "All";
    let hosts: Vec<&str> = route["spec"]["hostnames"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let serves = |listener: &&&Value| match listener["hostname"].as_str() {
        None => true,
        Some(pattern) => hosts.iter().any(|host| host_fits(pattern, host)),
    };
    let mut fit = Fit::Accepted;
    for (wanted, otherwise) in [
        (&named as &dyn Fn(&&&Value) -> bool, Fit::Section),
        (
            &|listener| named(listener) && open(listener),
            Fit::Namespace,
        ),
        (
            &|listener| named(listener) && open(listener) && serves(listener),
            Fit::Hostname,
        ),
    ] {
        if !listeners.iter().any(|listener| wanted(&listener)) {
            fit = otherwise;
            break;
        }
    }
    fit
}

fn host_fits(pattern: &str, host: &str) -> bool {
    pattern == host
        || pattern
            .strip_prefix('*')
            .is_some_and(|suffix| host.ends_with(suffix))
}

/// Where a request for a host leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Destination {
    /// To this port of this pod.
    Pod(String, u16),
    /// To a Service that has nobody ready.
    Nobody,
    /// Nowhere: no Ingress or route has this host and path.
    Unknown,
}

impl State {
    /// The certificate and key that an Ingress names for a host, as PEM.
    pub fn certificate(&self, host: &str) -> Option<(String, String)> {
        let ingresses = self
            .objects
            .iter()
            .filter(|((_, plural, _), _)| plural == "ingresses");
        for ((namespace, ..), ingress) in ingresses {
            for tls in ingress["spec"]["tls"].as_array().into_iter().flatten() {
                let Some(name) = tls["secretName"].as_str() else {
                    continue;
                };
                if !tls["hosts"]
                    .as_array()
                    .is_some_and(|hosts| hosts.iter().any(|of| of == host))
                {
                    continue;
                }
                let key = (namespace.clone(), "secrets".to_owned(), name.to_owned());
                let data = &self.objects.get(&key)?["data"];
                let read = |field: &str| {
                    let bytes = base64::engine::general_purpose::STANDARD
                        .decode(data[field].as_str()?)
                        .ok()?;
                    String::from_utf8(bytes).ok()
                };
                return Some((read("tls.crt")?, read("tls.key")?));
            }
        }
        None
    }

    /// Where the ingress controller sends a request.
    pub fn destination(&self, host: &str, path: &str) -> Destination {
        let mut found: Vec<(String, usize, &str, String, Value)> = Vec::new();
        for ((namespace, plural, _), object) in &self.objects {
            let created = object["metadata"]["creationTimestamp"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            match plural.as_str() {
                "ingresses" => {
                    let class = &object["spec"]["ingressClassName"];
                    if self
                        .world
                        .class
                        .as_ref()
                        .is_some_and(|served| class != served)
                    {
                        continue;
                    }
                    for rule in object["spec"]["rules"].as_array().into_iter().flatten() {
                        if rule["host"]
                            .as_str()
                            .is_some_and(|pattern| !host_fits(pattern, host))
                        {
                            continue;
                        }
                        for entry in rule["http"]["paths"].as_array().into_iter().flatten() {
                            let prefix = entry["path"].as_str().unwrap_or("/");
                            let service = &entry["backend"]["service"];
                            if path.starts_with(prefix) {
                                let name = service["name"].as_str().unwrap_or_default().to_owned();
                                found.push((
                                    created.clone(),
                                    prefix.len(),
                                    namespace,
                                    name,
                                    service["port"].clone(),
                                ));
                            }
                        }
                    }
                }
                "httproutes" => {
                    let accepted = object["status"]["parents"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .any(|parent| parent["conditions"][0]["status"] == "True");
                    let hosts = object["spec"]["hostnames"].as_array().into_iter().flatten();
                    if !accepted
                        || !hosts
                            .filter_map(Value::as_str)
                            .any(|pattern| host_fits(pattern, host))
                    {
                        continue;
                    }
                    for backend in object["spec"]["rules"][0]["backendRefs"]
                        .as_array()
                        .into_iter()
                        .flatten()
                    {
                        let name = backend["name"].as_str().unwrap_or_default().to_owned();
                        found.push((
                            created.clone(),
                            1,
                            namespace,
                            name,
                            json!({"number": backend["port"]}),
                        ));
                    }
                }
                _ => {}
            }
        }
        // The longest path; among equals the oldest.
        found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let Some((_, _, namespace, name, port)) = found.into_iter().next() else {
            return Destination::Unknown;
        };
        endpoint_address(self, namespace, &name, &port)
            .map_or(Destination::Nobody, |(pod, port)| {
                Destination::Pod(pod, port)
            })
    }
}

/// A ready pod behind a Service's port (`{"number": 80}` or `{"name": "http"}`), and the port there.
fn endpoint_address(
    state: &State,
    namespace: &str,
    service: &str,
    port: &Value,
) -> Option<(String, u16)> {
    let key = (
        namespace.to_owned(),
        "services".to_owned(),
        service.to_owned(),
    );
    let ports = state.objects.get(&key)?["spec"]["ports"].as_array()?;
    let chosen = ports.iter().find(|one| match port["name"].as_str() {
        Some(name) => one["name"] == name,
        None => one["port"] == port["number"],
    })?;
    let endpoints = state
        .objects
        .get(&(key.0.clone(), "endpoints".to_owned(), key.2.clone()))?;
    let subsets = endpoints["subsets"].as_array()?.iter();
    let mut addresses =
        subsets.flat_map(|subset| subset["addresses"].as_array().into_iter().flatten());
    let pod = addresses.next()?["targetRef"]["name"].as_str()?.to_owned();
    let stored = state
        .objects
        .get(&(key.0, "pods".to_owned(), pod.clone()))?;
    Some((pod, target_port(chosen, stored)?))
}

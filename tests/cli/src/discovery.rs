//! What the API server says that it serves.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::http::{Request, Response};
use crate::target::{Addon, REVIEWS, ResourceType, TYPES, not_served};

/// The answer to a question of discovery; nothing for other requests.
pub fn answer(addons: &BTreeSet<Addon>, request: &Request) -> Option<Response> {
    let segments = request.segments();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let answer = match &parts[..] {
        ["version"] => json!({
            "major": "1", "minor": "33", "gitVersion": "v1.33.1", "gitCommit": "0", "gitTreeState": "clean",
            "buildDate": "2025-05-15T08:19:08Z", "goVersion": "go1.24.2", "compiler": "gc", "platform": "linux/amd64",
        }),
        ["api"] => {
            json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        }
        ["apis"] => {
            let groups: Vec<Value> = groups(addons).iter().map(group).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["apis", name] => match groups(addons).iter().find(|(group, _)| *group == name) {
            Some(found) => {
                let mut group = group(found);
                group["kind"] = json!("APIGroup");
                group["apiVersion"] = json!("v1");
                group
            }
            None => return Some(not_served()),
        },
        ["api", version] => return Some(resources(addons, "", version)),
        ["apis", group, version] => return Some(resources(addons, group, version)),
        _ => return None,
    };
    Some(Response::json(200, &answer))
}

fn served(addons: &BTreeSet<Addon>) -> impl Iterator<Item = &'static ResourceType> + use<'_> {
    let is_served = |kind: &&ResourceType| kind.addon.is_none_or(|addon| addons.contains(&addon));
    TYPES.iter().filter(is_served)
}

/// The groups with their versions.
fn groups(addons: &BTreeSet<Addon>) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut groups: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for kind in served(addons).filter(|kind| !kind.group.is_empty()) {
        groups.entry(kind.group).or_default().insert(kind.version);
    }
    for (group, _) in REVIEWS {
        groups.entry(group).or_default().insert("v1");
    }
    groups
}

fn group((name, versions): (&&'static str, &BTreeSet<&'static str>)) -> Value {
    let version =
        |version| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions[0]})
}

fn resources(addons: &BTreeSet<Addon>, group: &str, version: &str) -> Response {
    let kinds: Vec<&ResourceType> = served(addons)
        .filter(|kind| (kind.group, kind.version) == (group, version))
        .collect();
    let reviews = REVIEWS.iter().any(|(of, _)| *of == group) && version == "v1";
    if kinds.is_empty() && !reviews {
        return not_served();
    }
    let resource = |kind: &ResourceType| {
        let mut resource = json!({
            "name": kind.plural, "singularName": kind.kind.to_lowercase(), "namespaced": kind.is_namespaced,
            "kind": kind.kind, "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        });
        if !kind.short.is_empty() {
            resource["shortNames"] = json!([kind.short]);
        }
        resource
    };
    let mut resources: Vec<Value> = kinds.into_iter().map(resource).collect();
    if group.is_empty() {
        for sub in ["log", "portforward"] {
            resources.push(json!({"name": format!("pods/{sub}"), "singularName": "", "namespaced": true, "kind": "Pod", "verbs": ["get"]}));
        }
    }
    let of = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    Response::json(
        200,
        &json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": of, "resources": resources}),
    )
}

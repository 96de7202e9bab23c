//! How much CPU and memory an app asks for. What a quota or `LimitRange` then refuses, the cluster says itself.

use std::collections::BTreeMap;

use commons::cluster::if_allowed;
use commons::quantity::Quantity;
use commons::{Cluster, Result};
use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

/// What an app asks for when nobody says: enough for a small web application, little enough for a crowded cluster.
const CPU: Quantity = Quantity::millicores(100);
const MEMORY: Quantity = Quantity::mebibytes(256);
/// Above this an app is stopped, unless more is asked for: a leak must not take the node from everybody.
const MEMORY_LIMIT: Quantity = Quantity::mebibytes(1024);
/// Where a limit on CPU is demanded.
const CPU_LIMIT: Quantity = Quantity::millicores(1000);

/// Requests and limits, by resource, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    pub requests: BTreeMap<String, String>,
    pub limits: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Requests,
    Limits,
}

impl Resources {
    /// An amount that is said, unless it cannot be read.
    fn said(&self, side: Side, resource: &str) -> Option<Quantity> {
        let amounts = match side {
            Side::Requests => &self.requests,
            Side::Limits => &self.limits,
        };
        amounts.get(resource)?.parse().ok()
    }

    fn set(&mut self, side: Side, resource: &str, amount: Quantity) {
        let amounts = match side {
            Side::Requests => &mut self.requests,
            Side::Limits => &mut self.limits,
        };
        let text = if resource == "memory" {
            amount.memory()
        } else {
            amount.cpu()
        };
        amounts.insert(resource.into(), text);
    }

    /// Puts in what is asked for with flags.
    fn ask(&mut self, rules: &Rules, asked: Asked) {
        if let Some(cpu) = asked.cpu {
            self.set(Side::Requests, "cpu", cpu);
            // A limit below the request is refused, whoever has set it.
            let limit = rules.effective(self, Side::Limits, "cpu");
            if rules.want_cpu_limits() || limit.is_some_and(|limit| limit < cpu) {
                self.set(Side::Limits, "cpu", cpu);
            }
        }
        if let Some(memory) = asked.memory {
            self.set(Side::Requests, "memory", memory);
            self.set(Side::Limits, "memory", memory);
        }
    }

    /// The amounts of a new app that neither flags nor the namespace's `LimitRange` set.
    fn usual(&mut self, rules: &Rules, asked: Asked) {
        if asked.cpu.is_none() {
            if !rules.default_requests.contains_key("cpu") {
                self.set(Side::Requests, "cpu", CPU);
            }
            if rules.want_cpu_limits() {
                self.set(Side::Limits, "cpu", CPU_LIMIT);
            }
        }
        if asked.memory.is_none() {
            if !rules.default_requests.contains_key("memory") {
                self.set(Side::Requests, "memory", MEMORY);
            }
            if !rules.default_limits.contains_key("memory") {
                self.set(Side::Limits, "memory", MEMORY_LIMIT);
            }
        }
    }
}

/// What the namespace says about resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What is left, by the quota's own words: `requests.cpu`, `limits.memory`, `pods`; of several quotas the least.
    left: BTreeMap<String, Quantity>,
    /// What containers get that do not say (`LimitRange`).
    default_requests: BTreeMap<String, Quantity>,
    default_limits: BTreeMap<String, Quantity>,
}

/// Reads the quotas and `LimitRanges` of a namespace; where they may not be read, there are none as far as we know.
///
/// # Errors
/// When the API server does not answer.
pub async fn rules(cluster: &Cluster, namespace: &str) -> Result<Rules> {
    let (quotas, ranges) = futures::join!(
        cluster.list::<ResourceQuota>(namespace, ""),
        cluster.list::<LimitRange>(namespace, "")
    );
    Ok(Rules::of(
        &if_allowed(quotas)?.unwrap_or_default(),
        &if_allowed(ranges)?.unwrap_or_default(),
    ))
}

fn quantities(map: Option<&BTreeMap<String, ApiQuantity>>) -> BTreeMap<String, Quantity> {
    map.into_iter()
        .flatten()
        .filter_map(|(name, amount)| Some((name.clone(), amount.0.parse().ok()?)))
        .collect()
}

impl Rules {
    pub fn of(quotas: &[ResourceQuota], ranges: &[LimitRange]) -> Self {
        let mut rules = Self::default();
        for status in quotas.iter().filter_map(of_all_pods) {
            let used = quantities(status.used.as_ref());
            for (name, total) in quantities(status.hard.as_ref()) {
                let amount = used.get(&name).map_or(total, |used| total.minus(*used));
                // `cpu` is the old word for `requests.cpu`, `count/pods` the new one for `pods`.
                let name = match name.as_str() {
                    "cpu" => "requests.cpu",
                    "memory" => "requests.memory",
                    "count/pods" => "pods",
                    other => other,
                };
                let left = rules.left.entry(name.to_owned()).or_insert(amount);
                *left = amount.min(*left);
            }
        }
        let items = ranges.iter().filter_map(|range| range.spec.as_ref());
        let items = items.flat_map(|spec| &spec.limits);
        for item in items.filter(|item| item.type_ == "Container") {
            let (limits, requests) = (item.default.as_ref(), item.default_request.as_ref());
            rules.default_limits.extend(quantities(limits));
            rules.default_requests.extend(quantities(requests));
        }
        // A default limit alone is the default request too.
        for (name, limit) in &rules.default_limits {
            rules.default_requests.entry(name.clone()).or_insert(*limit);
        }
        rules
    }

    /// Whether every container must have a limit on CPU, and none is given.
    fn want_cpu_limits(&self) -> bool {
        self.left.contains_key("limits.cpu") && !self.default_limits.contains_key("cpu")
    }

    /// What a container really asks for: what it says, or what a `LimitRange` puts there.
    fn effective(&self, resources: &Resources, side: Side, resource: &str) -> Option<Quantity> {
        resources.said(side, resource).or_else(|| match side {
            // A limit without a request is the request too.
            Side::Requests => resources
                .said(Side::Limits, resource)
                .or_else(|| self.default_requests.get(resource).copied()),
            Side::Limits => self.default_limits.get(resource).copied(),
        })
    }

    /// Whether so many more pods fit into every quota, when one of other resources goes.
    fn have_room(&self, pods: i32, resources: &Resources, instead_of: Option<&Resources>) -> bool {
        let amount = |resources: &Resources, name: &str| match name.split_once('.') {
            Some(("requests", resource)) => self.effective(resources, Side::Requests, resource),
            Some(("limits", resource)) => self.effective(resources, Side::Limits, resource),
            _ if name == "pods" => Some(Quantity::units(1)),
            _ => None,
        };
        self.left.iter().all(|(name, left)| {
            let takes = amount(resources, name).unwrap_or_default().times(pods);
            let gives = instead_of.and_then(|resources| amount(resources, name));
            takes <= left.plus(gives.unwrap_or_default())
        })
    }
}

/// What a quota counts, unless it is one of some pods alone.
fn of_all_pods(quota: &ResourceQuota) -> Option<&k8s_openapi::api::core::v1::ResourceQuotaStatus> {
    let is_scoped = quota.spec.as_ref().is_some_and(|spec| {
        let mut scopes = spec.scopes.iter().flatten();
        spec.scope_selector.is_some()
            || scopes.any(|scope| scope != "NotTerminating" && scope != "NotBestEffort")
    });
    quota.status.as_ref().filter(|_| !is_scoped)
}

/// What is asked for with flags.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    pub cpu: Option<Quantity>,
    pub memory: Option<Quantity>,
}

/// Decides what an app asks for: what is said, else what it has, else what the namespace gives, else an ordinary amount.
pub fn propose(rules: &Rules, asked: Asked, now: Option<&Resources>) -> Resources {
    let mut resources = now.cloned().unwrap_or_default();
    resources.ask(rules, asked);
    if now.is_none() {
        resources.usual(rules, asked);
    }
    // A limit is never less than its request.
    for resource in ["cpu", "memory"] {
        let limit = resources.said(Side::Limits, resource);
        if let Some(request) = resources.said(Side::Requests, resource)
            && limit.is_some_and(|limit| limit < request)
        {
            resources.set(Side::Limits, resource, request);
        }
    }
    resources
}

/// Whether new pods of an app may run beside the old ones while it is replaced, a quarter of them at a time, as Deployments do. Where
/// a quota has no room for that, an old pod goes first, if that makes room for a new one.
pub fn may_surge(rules: &Rules, now: &Resources, then: &Resources, replicas: i32) -> bool {
    let beside = (replicas.max(1) + 3) / 4;
    rules.have_room(beside, then, None) || !rules.have_room(1, then, Some(now))
}

#[cfg(test)]
mod tests;

//! How much CPU and memory an app asks for, so that it fits what the namespace has left.

use std::collections::BTreeMap;

use commons::cluster::if_allowed;
use commons::{Cluster, Result};
use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use commons::quantity::Quantity;

/// What an app asks for when nobody says: enough for a small web application, little enough for a crowded cluster.
const CPU: Quantity = Quantity::millicores(100);
const MEMORY: Quantity = Quantity::mebibytes(256);
/// Above this an app is stopped, unless more is asked for: a leak must not take the node from everybody.
const MEMORY_LIMIT: Quantity = Quantity::mebibytes(1024);
/// Where a limit on CPU is demanded.
const CPU_LIMIT: Quantity = Quantity::millicores(1000);
/// Less than this is no use to anything.
const LEAST_CPU: Quantity = Quantity::millicores(10);
const LEAST_MEMORY: Quantity = Quantity::mebibytes(48);

/// A round amount that is not more than this.
fn round_cpu(amount: Quantity) -> Quantity {
    let step = Quantity::millicores(10);
    if amount < step {
        amount
    } else {
        amount.round_down(step)
    }
}

/// A round amount that is not more than this.
fn round_memory(amount: Quantity) -> Quantity {
    amount.round_down(Quantity::mebibytes(16))
}

/// Requests and limits, by resource, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    pub requests: BTreeMap<String, String>,
    pub limits: BTreeMap<String, String>,
}

impl Resources {
    fn side(&self, side: Side) -> &BTreeMap<String, String> {
        match side {
            Side::Requests => &self.requests,
            Side::Limits => &self.limits,
        }
    }

    /// An amount that is said, unless it cannot be read.
    fn said(&self, side: Side, resource: &str) -> Option<Quantity> {
        self.side(side).get(resource)?.parse().ok()
    }

    fn set(&mut self, side: Side, resource: &str, amount: Quantity) {
        let amounts = match side {
            Side::Requests => &mut self.requests,
            Side::Limits => &mut self.limits,
        };
        amounts.insert(resource.into(), shown(resource, amount));
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

    /// A limit is never less than its request.
    fn raise_limits(&mut self) {
        for resource in ["cpu", "memory"] {
            let limit = self.said(Side::Limits, resource);
            if let Some(request) = self.said(Side::Requests, resource)
                && limit.is_some_and(|limit| limit < request)
            {
                self.set(Side::Limits, resource, request);
            }
        }
    }
}

/// What rules the namespace has about resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What is left, by the quota's own words: `requests.cpu`, `limits.memory`, `pods`; with the quota's name and its total.
    left: BTreeMap<String, Left>,
    /// What containers get that do not say (`LimitRange`).
    default_requests: BTreeMap<String, Quantity>,
    default_limits: BTreeMap<String, Quantity>,
    least: BTreeMap<String, Quantity>,
    most: BTreeMap<String, Quantity>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Left {
    quota: String,
    amount: Quantity,
    total: Quantity,
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
        for quota in quotas {
            let scoped = quota.spec.as_ref().is_some_and(|spec| {
                spec.scope_selector.is_some()
                    || spec
                        .scopes
                        .iter()
                        .flatten()
                        .any(|scope| scope != "NotTerminating" && scope != "NotBestEffort")
            });
            let Some(status) = quota.status.as_ref().filter(|_| !scoped) else {
                continue;
            };
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
                let left = Left {
                    quota: quota.metadata.name.clone().unwrap_or_default(),
                    amount,
                    total,
                };
                match rules.left.get(name) {
                    Some(less) if less.amount <= amount => {}
                    _ => {
                        rules.left.insert(name.to_owned(), left);
                    }
                }
            }
        }
        let items = ranges
            .iter()
            .filter_map(|range| range.spec.as_ref())
            .flat_map(|spec| &spec.limits)
            .filter(|item| item.type_ == "Container");
        for item in items {
            rules
                .default_limits
                .extend(quantities(item.default.as_ref()));
            rules
                .default_requests
                .extend(quantities(item.default_request.as_ref()));
            rules.least.extend(quantities(item.min.as_ref()));
            rules.most.extend(quantities(item.max.as_ref()));
        }
        // A default limit alone is the default request too.
        for (name, limit) in &rules.default_limits {
            rules.default_requests.entry(name.clone()).or_insert(*limit);
        }
        rules
    }

    /// Whether a quota counts this, so that every container must say it.
    fn counts(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    /// Whether every container must have a limit on CPU, and none is given.
    fn want_cpu_limits(&self) -> bool {
        self.counts("limits.cpu") && !self.default_limits.contains_key("cpu")
    }

    /// What every container must say itself: side, resource, and the quota that wants it.
    pub fn demanded(&self) -> Vec<(&'static str, &'static str, String)> {
        SIDES
            .into_iter()
            .filter_map(|(side, resource)| {
                let left = self.left.get(&format!("{}.{resource}", side.as_str()))?;
                let given = match side {
                    Side::Requests => &self.default_requests,
                    Side::Limits => &self.default_limits,
                };
                (!given.contains_key(resource))
                    .then(|| (side.as_str(), resource, left.quota.clone()))
            })
            .collect()
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

    /// How many pods with these resources fit into what is left, by each quota.
    fn bounds(&self, resources: &Resources, given_back: &dyn Fn(&str) -> Quantity) -> Vec<Room> {
        let bound = |name: String, resource: Option<&'static str>, each: Quantity| {
            let left = self
                .left
                .get(&name)
                .filter(|_| each > Quantity::default())?;
            let room = left.amount.plus(given_back(&name));
            let shown = |amount: Quantity| shown(&name, amount);
            Some(Room {
                pods: room.holds(each),
                why: format!(
                    "quota `{}` has {} of {} {} left, and a pod takes {}",
                    left.quota,
                    shown(room),
                    shown(left.total),
                    words(&name),
                    shown(each)
                ),
                instead: resource.and_then(|resource| less(resource, room)),
            })
        };
        let mut bounds: Vec<Room> = SIDES
            .into_iter()
            .filter_map(|(side, resource)| {
                let each = self.effective(resources, side, resource)?;
                bound(
                    format!("{}.{resource}", side.as_str()),
                    Some(resource),
                    each,
                )
            })
            .collect();
        bounds.extend(bound("pods".into(), None, Quantity::units(1)));
        bounds
    }

    /// What a `LimitRange` refuses of these resources.
    fn out_of_range(&self, resources: &Resources) -> Vec<TooMuch> {
        SIDES
            .into_iter()
            .filter_map(|(side, resource)| {
                let each = self.effective(resources, side, resource)?;
                let says = |amount: Quantity, bound: &str| TooMuch {
                    why: format!(
                        "it asks for {} of {resource}, and {} is the {bound} that a container may have here",
                        shown(resource, each),
                        shown(resource, amount)
                    ),
                    instead: Some((resource, amount)),
                    is_range: true,
                };
                let most = self.most.get(resource).filter(|most| each > **most);
                let least = self.least.get(resource).filter(|least| each < **least);
                most.map(|most| says(*most, "most"))
                    .or_else(|| least.map(|least| says(*least, "least")))
            })
            .collect()
    }
}

/// How many pods a quota has room for.
#[derive(Clone, Debug)]
struct Room {
    pods: i128,
    why: String,
    /// What may be asked for instead.
    instead: Option<(&'static str, Quantity)>,
}

/// No more of a resource than there is, if that is an amount at which anything runs.
fn less(resource: &'static str, room: Quantity) -> Option<(&'static str, Quantity)> {
    let (room, least) = if resource == "memory" {
        (round_memory(room), LEAST_MEMORY)
    } else {
        (round_cpu(room), LEAST_CPU)
    };
    (room >= least).then_some((resource, room))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Requests,
    Limits,
}

impl Side {
    fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Limits => "limits",
        }
    }
}

const SIDES: [(Side, &str); 4] = [
    (Side::Requests, "cpu"),
    (Side::Requests, "memory"),
    (Side::Limits, "cpu"),
    (Side::Limits, "memory"),
];

fn shown(name: &str, amount: Quantity) -> String {
    if name.ends_with("memory") {
        amount.memory()
    } else {
        amount.cpu()
    }
}

fn words(name: &str) -> &str {
    match name {
        "requests.cpu" => "CPU requests",
        "requests.memory" => "memory requests",
        "limits.cpu" => "CPU limits",
        "limits.memory" => "memory limits",
        other => other,
    }
}

/// What is asked for with flags.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    pub cpu: Option<Quantity>,
    pub memory: Option<Quantity>,
}

/// What an app is to ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    pub resources: Resources,
    /// Whether a new pod may run beside the old one while it is replaced.
    pub surge: bool,
    /// Why less than usual is asked for.
    pub notes: Vec<String>,
    /// Why not all replicas fit.
    pub too_few: Option<String>,
    /// Why not even one pod fits.
    pub too_much: Vec<TooMuch>,
}

/// Something of which too much is asked for, or not the least that must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooMuch {
    pub why: String,
    /// What may be asked for instead: a resource and an amount; nothing where that is too little for anything.
    pub instead: Option<(&'static str, Quantity)>,
    /// Whether a `LimitRange` refuses it, whatever else there is in the namespace.
    pub is_range: bool,
}

/// The flags that ask for what there is; nothing where there is nothing of something.
pub fn flags_instead(too_much: &[TooMuch]) -> Option<String> {
    let mut least: BTreeMap<&str, Quantity> = BTreeMap::new();
    for one in too_much {
        let (resource, amount) = one.instead?;
        let known = least.entry(resource).or_insert(amount);
        *known = amount.min(*known);
    }
    let flags: Vec<String> = least
        .into_iter()
        .map(|(resource, amount)| format!("--{resource} {}", shown(resource, amount)))
        .collect();
    Some(flags.join(" "))
}

/// Decides what an app asks for: what is said, else what it has, else what the namespace gives, else an ordinary amount, less
/// where not as much is left. `now` is what it has, with its number of pods, which comes back when they are replaced.
pub fn propose(
    rules: &Rules,
    asked: Asked,
    now: Option<(&Resources, i32)>,
    replicas: i32,
) -> Proposal {
    let mut resources = now
        .map(|(resources, _)| resources.clone())
        .unwrap_or_default();
    resources.ask(rules, asked);
    let usual = match now {
        None => usual(rules, asked),
        Some(_) => Vec::new(),
    };
    let mut notes = Vec::new();
    for (side, resource, usual) in usual {
        let amount = fitting(rules, side, resource, usual, replicas);
        if amount < usual && side == Side::Requests {
            notes.push(format!(
                "it asks for {} of {resource} instead of {}: no more is left",
                shown(resource, amount),
                shown(resource, usual)
            ));
        }
        resources.set(side, resource, amount);
    }
    resources.raise_limits();
    let given_back = |name: &str| {
        let Some((has, count)) = now else {
            return Quantity::default();
        };
        let each = match name.split_once('.') {
            Some(("requests", resource)) => rules.effective(has, Side::Requests, resource),
            Some(("limits", resource)) => rules.effective(has, Side::Limits, resource),
            _ => Some(Quantity::units(1)),
        };
        each.unwrap_or(Quantity::default()).times(count)
    };
    let out_of_range = rules.out_of_range(&resources);
    let mut proposal = Proposal {
        resources,
        surge: true,
        notes,
        too_few: None,
        too_much: out_of_range,
    };
    let bounds = rules.bounds(&proposal.resources, &given_back);
    for bound in bounds
        .iter()
        .filter(|bound| bound.pods == 0 && replicas > 0)
    {
        proposal.too_much.push(TooMuch {
            why: bound.why.clone(),
            instead: bound.instead,
            is_range: false,
        });
    }
    if let Some(Room { pods, why, .. }) = bounds.into_iter().min_by_key(|bound| bound.pods)
        && pods > 0
        && pods < i128::from(replicas)
    {
        proposal.too_few = Some(format!("only {pods} of {replicas} pods will run: {why}"));
    }
    // While pods are replaced, the new ones come on top of the old ones: a quarter of them at a time, as Deployments do.
    let beside = i128::from((replicas.max(1) + 3) / 4);
    let wanted = match now {
        Some(_) => beside,
        None => i128::from(replicas) + beside,
    };
    let left = rules.bounds(&proposal.resources, &|_| Quantity::default());
    proposal.surge = left.iter().all(|bound| bound.pods >= wanted);
    proposal
}

/// The requests and limits of a new app that neither flags nor the namespace's `LimitRange` set.
fn usual(rules: &Rules, asked: Asked) -> Vec<(Side, &'static str, Quantity)> {
    let mut usual = Vec::new();
    if asked.cpu.is_none() {
        if !rules.default_requests.contains_key("cpu") {
            usual.push((Side::Requests, "cpu", CPU));
        }
        if rules.want_cpu_limits() {
            usual.push((Side::Limits, "cpu", CPU_LIMIT));
        }
    }
    if asked.memory.is_none() {
        if !rules.default_requests.contains_key("memory") {
            usual.push((Side::Requests, "memory", MEMORY));
        }
        if !rules.default_limits.contains_key("memory") {
            usual.push((Side::Limits, "memory", MEMORY_LIMIT));
        }
    }
    usual
}

/// The usual amount, or as much as fits: with one pod more than asked for, which an update needs, else without.
fn fitting(rules: &Rules, side: Side, resource: &str, usual: Quantity, replicas: i32) -> Quantity {
    let mut amount = usual;
    if let Some(most) = rules.most.get(resource) {
        amount = amount.min(*most);
    }
    if let Some(left) = rules.left.get(&format!("{}.{resource}", side.as_str())) {
        let (least, round): (_, fn(Quantity) -> Quantity) = if resource == "memory" {
            (LEAST_MEMORY, round_memory)
        } else {
            (LEAST_CPU, round_cpu)
        };
        let pods = i128::from(replicas.max(1));
        let share = |pods: i128| round(left.amount.shared_by(pods));
        if share(pods + 1) >= least {
            amount = amount.min(share(pods + 1));
        } else if share(pods) >= least {
            amount = amount.min(share(pods));
        }
    }
    if let Some(least) = rules.least.get(resource) {
        amount = amount.max(*least);
    }
    amount
}

#[cfg(test)]
mod tests;

//! The shares that exist: what the `RoleBindings` of a namespace give, joined with the timers that end it.
//!
//! `RoleBindings` come first, because they give the right: a timer can be deleted without them, or be missing from the start.

use std::collections::{BTreeMap, BTreeSet};

use commons::apply::is_ours;
use commons::cluster::if_allowed;
use commons::grant::{Timer, is_owned_by};
use commons::shell::shell;
use commons::subject::{Pattern, Subject};
use commons::{Cluster, Result, Ui, printable};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};

use crate::listed::{Ends, Held, Said, Share, Trace, is_elsewhere};
use crate::plan::MANAGER;
use crate::verify::groups_bound;

/// The shares that there are.
#[derive(Debug, Default)]
pub struct FoundShares {
    /// By database and colleague.
    pub shares: Vec<Share>,
    /// What carries our label and does not say whose share it is.
    pub unreadable: Vec<Trace>,
    /// `RoleBindings` that carry our label and give a role that is not ours.
    pub foreign: Vec<Trace>,
    /// The groups to which something is given here.
    pub groups: Vec<String>,
    /// Roles and timers of ours that give nobody anything: a Role would as soon as somebody binds it.
    pub leftovers: Vec<Trace>,
    /// Whether `RoleBindings` and Roles could be read; without them only timers are seen.
    pub complete: bool,
}

/// Namespace and name.
type Key = (String, String);

fn key(metadata: &ObjectMeta) -> Key {
    (
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}

/// What was read of a namespace, or of all.
struct NamespaceFacts<'a> {
    timers: BTreeMap<Key, (Timer, &'a Job)>,
    /// Every Job by its UID, since anything may own a `RoleBinding`.
    clocks: BTreeMap<String, &'a Job>,
    /// How people are called, by namespace, as far as that can be learned.
    patterns: BTreeMap<String, Pattern>,
    roles: BTreeMap<Key, &'a Role>,
    now: Timestamp,
    cluster: &'a Cluster,
}

/// All shares of a namespace (nothing: of every namespace).
pub async fn all(cluster: &Cluster, namespace: Option<&str>) -> Result<FoundShares> {
    let (jobs, roles, bindings) = futures::join!(
        cluster.list_in::<Job>(namespace, ""),
        cluster.list_in::<Role>(namespace, ""),
        cluster.list_in::<RoleBinding>(namespace, "")
    );
    let jobs = jobs?;
    // The roles `view` and `edit` may read Jobs, but no Roles and RoleBindings.
    let (roles, bindings) = (if_allowed(roles)?, if_allowed(bindings)?);
    let complete = roles.is_some() && bindings.is_some();
    let read = NamespaceFacts {
        timers: jobs
            .iter()
            .filter(|job| is_ours(&job.metadata, MANAGER))
            .map(|job| (key(&job.metadata), (Timer::of(job), job)))
            .collect(),
        clocks: jobs
            .iter()
            .map(|job| (job.uid().unwrap_or_default(), job))
            .collect(),
        patterns: patterns(bindings.iter().flatten()),
        roles: roles
            .iter()
            .flatten()
            .map(|role| (key(&role.metadata), role))
            .collect(),
        now: cluster.now(),
        cluster,
    };
    let mut found = read.join(bindings.as_deref().unwrap_or_default(), complete);
    found.shares.sort_by(|a, b| {
        (&a.namespace, &a.database, &a.with).cmp(&(&b.namespace, &b.database, &b.with))
    });
    Ok(found)
}

/// How the people of each namespace are called.
fn patterns<'a>(bindings: impl Iterator<Item = &'a RoleBinding>) -> BTreeMap<String, Pattern> {
    let mut of_namespace: BTreeMap<String, Vec<&RoleBinding>> = BTreeMap::new();
    for binding in bindings {
        let namespace = binding.namespace().unwrap_or_default();
        of_namespace.entry(namespace).or_default().push(binding);
    }
    let learned = of_namespace
        .into_iter()
        .filter_map(|(namespace, bindings)| {
            let pattern = Pattern::learn(&namespace, bindings, None).ok()?;
            Some((namespace, pattern))
        });
    learned.collect()
}

impl NamespaceFacts<'_> {
    fn join(&self, bindings: &[RoleBinding], complete: bool) -> FoundShares {
        let mut found = FoundShares {
            complete,
            groups: groups_bound(bindings),
            ..FoundShares::default()
        };
        let mut joined: BTreeSet<Key> = BTreeSet::new();
        for binding in bindings {
            let key = (
                binding.namespace().unwrap_or_default(),
                binding.role_ref.name.clone(),
            );
            let Some(gives_ours) = self.relevant(binding, &key) else {
                continue;
            };
            let mut trace = self.trace(&key);
            if !gives_ours {
                found.foreign.push(Trace {
                    name: binding.name_any(),
                    namespace: key.0.clone(),
                    ..Trace::default()
                });
                continue;
            }
            trace.binding = Some(Held::of(binding));
            trace.clock = self.clock(binding, trace.timer.as_ref());
            joined.insert(key.clone());
            self.of_binding(binding, &key, &trace, &mut found);
        }
        for (key, (timer, job)) in self.timers.iter().filter(|(key, _)| !joined.contains(key)) {
            self.of_timer(key, timer, job, &mut found);
        }
        for (key, _) in self.roles.iter().filter(|(key, role)| {
            is_ours(role.meta(), MANAGER) && !joined.contains(key) && !self.timers.contains_key(key)
        }) {
            found.leftovers.push(self.trace(key));
        }
        found
    }

    /// Whether a `RoleBinding` gives a Role of ours (or one that is gone), for those that are ours or do; nothing for others.
    fn relevant(&self, binding: &RoleBinding, key: &Key) -> Option<bool> {
        let to_role = binding.role_ref.kind == "Role";
        let role = self.roles.get(key).filter(|_| to_role);
        let role_is_ours = role.is_some_and(|role| is_ours(role.meta(), MANAGER));
        let gives_ours = role_is_ours || (to_role && role.is_none());
        (is_ours(binding.meta(), MANAGER) || role_is_ours).then_some(gives_ours)
    }

    fn trace(&self, key: &Key) -> Trace {
        let role = self.roles.get(key);
        Trace {
            namespace: key.0.clone(),
            elsewhere: is_elsewhere(self.cluster, &key.0),
            name: key.1.clone(),
            binding: None,
            role: role
                .filter(|role| is_ours(role.meta(), MANAGER))
                .map(|role| Held::of(*role)),
            timer: self.timers.get(key).map(|(timer, _)| timer.clone()),
            clock: self.timers.get(key).map(|(timer, _)| timer.clone()),
        }
    }

    /// The timer with which a `RoleBinding` goes: that of its name, unless it belongs to another Job.
    fn clock(&self, binding: &RoleBinding, timer: Option<&Timer>) -> Option<Timer> {
        let mut owners = binding.owner_references().iter();
        let is_owner = |timer: &&Timer| is_owned_by(binding, &timer.uid);
        match timer.filter(is_owner) {
            Some(timer) => Some(timer.clone()),
            None => owners
                .find_map(|owner| self.clocks.get(&owner.uid))
                .map(|job| Timer::of(job))
                .or_else(|| timer.cloned()),
        }
    }

    /// A share for each subject of a `RoleBinding`. One that somebody made by hand for a Role of ours does not say what it is
    /// about; the Role does.
    fn of_binding(&self, binding: &RoleBinding, key: &Key, trace: &Trace, found: &mut FoundShares) {
        let role = self.roles.get(key).copied();
        let said = Said::of(binding.annotations())
            .filter(|_| is_ours(binding.meta(), MANAGER))
            .or_else(|| role.and_then(|role| Said::of(role.annotations())));
        let Some(said) = said.map(|said| said.believed(self.patterns.get(&key.0))) else {
            found.unreadable.push(trace.clone());
            return;
        };
        let subjects = binding
            .subjects
            .iter()
            .flatten()
            .filter_map(Subject::of_rbac);
        found.shares.extend(subjects.map(|subject| {
            Share::of(
                &said,
                subject,
                trace.clone(),
                role,
                binding.meta(),
                self.now,
            )
        }));
    }

    /// A timer without a `RoleBinding`: somebody deleted that, or it may not be read.
    fn of_timer(&self, key: &Key, timer: &Timer, job: &Job, found: &mut FoundShares) {
        if timer.over {
            return;
        }
        let trace = self.trace(key);
        let said = Said::of(job.annotations()).map(|said| said.believed(self.patterns.get(&key.0)));
        let Some((said, subject)) =
            said.and_then(|said| said.subject().cloned().map(|subject| (said, subject)))
        else {
            // A timer alone gives nothing.
            let of = if found.complete {
                &mut found.leftovers
            } else {
                &mut found.unreadable
            };
            of.push(trace);
            return;
        };
        found.shares.push(Share::of(
            &said,
            subject,
            trace,
            self.roles.get(key).copied(),
            &ObjectMeta {
                owner_references: Some(vec![timer.owner_reference()]),
                ..Default::default()
            },
            self.now,
        ));
    }
}

/// Says what a list of shares does not show by itself; `ends_all` is a command that ends them all.
pub fn warn(ui: &Ui, found: &FoundShares, ends_all: bool) {
    if !found.complete {
        ui.warning("your role cannot read RoleBindings, so shares may be missing here; the namespace's owner sees all of them");
    }
    for Trace {
        name, namespace, ..
    } in &found.foreign
    {
        let look = shell("kubectl describe rolebinding")
            .arg(name)
            .in_namespace(namespace);
        ui.warning(format!(
            "RoleBinding `{}` carries the label of shares and gives another role than theirs: `{look}`",
            printable::line(name)
        ));
    }
    if !found.unreadable.is_empty() {
        let names: Vec<&str> = found
            .unreadable
            .iter()
            .map(|trace| trace.name.as_str())
            .collect();
        ui.warning(format!(
            "{} of the shares here cannot be read, though they may give rights: {}",
            names.len(),
            printable::short(&names.join(", "), 300)
        ));
        for namespace in namespaces(&found.unreadable).iter().filter(|_| !ends_all) {
            let all = shell("kubectl share-db revoke --all").in_namespace(namespace);
            ui.hint(format!(
                "to end every share of this namespace, these too: `{all}`"
            ));
        }
    }
}

fn namespaces(traces: &[Trace]) -> BTreeSet<&str> {
    traces
        .iter()
        .map(|trace| trace.namespace.as_str())
        .collect()
}

/// Says that a share does not end, though it should.
pub fn warn_of_no_end(ui: &Ui, share: &Share) {
    let what = format!("the share of {} with {}", share.database, share.with);
    match (share.ending, share.why) {
        (Ends::Never, Some(why)) => ui.warning(format!("nothing ends {what}: {why}")),
        (Ends::Over, _) => ui.warning(format!(
            "the time of {what} is over, but the cluster has not removed it"
        )),
        _ => return,
    }
    ui.hint(format!(
        "end it now: `{}`",
        share.command("kubectl share-db revoke")
    ));
}

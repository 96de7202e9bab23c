//! `share-db DATABASE --with USER`: makes a share, proves it, and says what the colleague types.

use std::cell::OnceCell;
use std::time::Duration;

use commons::apply::{self, DryRun, DryRunFlags, Outcome, PlannedObject};
use commons::cli::Interrupt;
use commons::cluster::{Identity, Right};
use commons::database::{self, Database, Typed};
use commons::error::{close_names, rights_hints};
use commons::grant::{self, Term, TermFlags, Timer, is_owned_by};
use commons::output::{self, OutputFlags};
use commons::subject::{self, Pattern};
use commons::{Cluster, Error, Kind, Result, Ui, duration, printable};
use futures::future::{join_all, try_join_all};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;

use crate::plan::{Colleague, Plan, Step, step};
use crate::shares::{Share, TimerState};
use crate::verify::{self, Verdict};
use crate::worth;

const RBAC: &str = "rbac.authorization.k8s.io";

#[derive(Debug, clap::Args)]
pub struct ShareArgs {
    /// The database: a Service, a StatefulSet, a pod, a CloudNativePG cluster or a chart's release
    #[arg(value_name = "DATABASE")]
    database: Option<Typed>,
    /// With these colleagues: `bob`, or exactly `user:NAME`, `group:NAME`, `serviceaccount:NAMESPACE/NAME`
    #[arg(long, value_name = "USER", num_args = 1.., value_delimiter = ',')]
    with: Vec<subject::Typed>,
    #[command(flatten)]
    term: TermFlags,
    /// For colleagues without this plugin: let them read the pod too, as `kubectl port-forward` wants (it may show passwords)
    #[arg(long)]
    plain_kubectl: bool,
    #[command(flatten)]
    dry_run: DryRunFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// What was read before anything is decided.
struct Resolved {
    database: Database,
    /// What people call the owner, for the colleague who asks for more time.
    owner: String,
    shares: Vec<Existing>,
}

/// A share that is planned, and what there is of it.
struct Existing {
    plan: Plan,
    share: Option<Share>,
    role: Option<Role>,
    binding: Option<RoleBinding>,
    card: Option<ConfigMap>,
    /// The UID of the timer that this run has made, once it has.
    created: OnceCell<String>,
    /// The UID of the Role that this run has made, once it has.
    created_role: OnceCell<String>,
}

pub async fn run(cluster: &Cluster, ui: &Ui, interrupt: &Interrupt, args: ShareArgs) -> Result<()> {
    let term = args.term.term()?;
    if args.with.is_empty()
        && let Some(command) = args
            .database
            .as_ref()
            .and_then(|typed| command_meant(&typed.name))
    {
        return Err(Error::usage("with whom? `--with USER` is missing")
            .hint(format!("did you mean `kubectl share-db {command}`?")));
    }
    if args.with.is_empty() {
        return Err(Error::usage("with whom? `--with USER` is missing").hint("for example: `kubectl share-db pg --with bob`; see what is shared: `kubectl share-db list`"));
    }
    let progress = ui.progress("Looking at the database");
    let resolved = resolve(cluster, ui, &args, term).await?;
    drop(progress);
    if args.dry_run.dry_run == DryRun::Client {
        return print_plan(cluster, ui, &args, &resolved);
    }
    let shield = interrupt.shield();
    let made = try_apply(cluster, &resolved, &shield, args.dry_run.dry_run).await?;
    if args.dry_run.dry_run == DryRun::Server {
        return print_plan(cluster, ui, &args, &resolved);
    }
    report(cluster, ui, &args, &resolved, &made)?;
    let with: Vec<&str> = made.iter().map(|made| made.share.with.as_str()).collect();
    worth::tell(cluster, ui, &resolved.database, &with).await;
    Ok(())
}

/// The command that was meant by what was taken for a database.
fn command_meant(typed: &str) -> Option<&'static str> {
    match close_names(
        typed,
        ["list", "extend", "revoke", "help", "show", "ls", "delete"],
    )
    .first()?
    {
        &"ls" | &"show" | &"list" => Some("list"),
        &"delete" | &"revoke" => Some("revoke"),
        &"extend" => Some("extend"),
        _ => Some("--help"),
    }
}

/// Reads what is needed, all that is independent at once.
async fn resolve(cluster: &Cluster, ui: &Ui, args: &ShareArgs, term: Term) -> Result<Resolved> {
    let typed = match &args.database {
        Some(typed) => typed.clone(),
        None => choose(cluster, ui).await?,
    };
    let database = async {
        let mut database = database::find(cluster, &typed).await?;
        // The colleague is told as whom and where to log in; the password stays here.
        database::learn_names(cluster, &mut database).await?;
        Ok::<_, Error>(database)
    };
    let (people, database) = futures::join!(people(cluster, args, &typed, term), database);
    let (owner, shares) = people?;
    Ok(Resolved {
        owner,
        database: database?,
        shares,
    })
}

/// What people call the owner, and the shares to be, with what there is of them.
async fn people(
    cluster: &Cluster,
    args: &ShareArgs,
    database: &Typed,
    term: Term,
) -> Result<(String, Vec<Existing>)> {
    let namespace = database.namespace_in(cluster);
    let needed = [
        Right::of("create", "batch", "jobs"),
        Right::of("create", RBAC, "roles"),
        Right::of("create", RBAC, "rolebindings"),
        Right::core("create", "configmaps"),
        Right::of(
            "create",
            "authorization.k8s.io",
            "localsubjectaccessreviews",
        ),
    ];
    let (lacking, identity, bindings) = futures::join!(
        cluster.lacks(namespace, &needed),
        cluster.identity(),
        cluster.list_as_cached::<RoleBinding>(namespace)
    );
    refuse_without_rights(namespace, &lacking?)?;
    let identity = identity?;
    let pattern = Pattern::learn(namespace, &bindings.unwrap_or_default(), identity.as_ref());
    let mut plans = Vec::new();
    for typed in &args.with {
        let subject = subject::resolve(typed, pattern.as_ref(), namespace)?;
        let is_me = |identity: &Identity| {
            matches!(&subject, subject::Subject::User { .. }) && subject.includes(identity)
        };
        if identity.as_ref().is_some_and(is_me) {
            return Err(
                Error::usage(format!("`{subject}` is you: you may connect already"))
                    .hint(format!("connect: `kubectl proxy-db {}`", database.name)),
            );
        }
        plans.push(Plan::new(
            &database.name,
            Colleague::new(subject, pattern.as_ref()),
            term,
            args.plain_kubectl,
        ));
    }
    plans.sort_by(|a, b| a.name.cmp(&b.name));
    plans.dedup_by(|a, b| a.name == b.name);
    let shares = try_join_all(
        plans
            .into_iter()
            .map(|plan| existing(cluster, namespace, plan)),
    )
    .await?;
    Ok((
        owner_called(namespace, identity.as_ref(), pattern.as_ref()),
        shares,
    ))
}

async fn choose(cluster: &Cluster, ui: &Ui) -> Result<Typed> {
    let names = database::candidates(cluster, cluster.namespace()).await?;
    if names.is_empty() {
        return Err(Error::of(
            Kind::NotFound,
            format!("no database found in namespace `{}`", cluster.namespace()),
        )
        .hint("name its Service: `kubectl share-db SERVICE --with USER`"));
    }
    let chosen = ui.choose(
        "DATABASE",
        &names,
        "name it: `kubectl share-db DATABASE --with USER`",
    )?;
    names[chosen].parse().map_err(Error::usage)
}

fn refuse_without_rights(namespace: &str, lacking: &[Right]) -> Result<()> {
    if lacking.is_empty() {
        return Ok(());
    }
    // All of them are `create`.
    let missing: Vec<&str> = lacking.iter().map(|right| right.resource).collect();
    Err(Error::of(
        Kind::Forbidden,
        format!("your rights in namespace `{namespace}` do not allow sharing"),
    )
    .caused_by(format!("you may not create {}", missing.join(", ")))
    .hint("sharing needs the role `admin` in that namespace; only its owner can share it")
    .hints_from(rights_hints(Some(namespace))))
}

/// What people call the owner of a namespace.
fn owner_called(namespace: &str, identity: Option<&Identity>, pattern: Option<&Pattern>) -> String {
    let person = identity
        .map(|identity| identity.username.as_str())
        .filter(|name| !name.starts_with("system:"));
    match (person, pattern) {
        (Some(user), Some(pattern)) => user
            .strip_prefix(&pattern.prefix)
            .unwrap_or(user)
            .to_owned(),
        (Some(user), None) => user.to_owned(),
        (None, _) => namespace
            .strip_prefix("user-")
            .unwrap_or(namespace)
            .to_owned(),
    }
}

/// Reads what there is under a share's name, and refuses what is not ours. A share that is just ending is waited for.
async fn existing(cluster: &Cluster, namespace: &str, plan: Plan) -> Result<Existing> {
    let manager = cluster.manager();
    let mut pause = Duration::from_millis(50);
    loop {
        let (job, role, binding, card) = futures::try_join!(
            cluster.find::<Job>(namespace, &plan.name),
            cluster.find::<Role>(namespace, &plan.name),
            cluster.find::<RoleBinding>(namespace, &plan.name),
            cluster.find::<ConfigMap>(namespace, &plan.name)
        )?;
        apply::refuse_foreign(job.as_ref(), manager)?;
        apply::refuse_foreign(role.as_ref(), manager)?;
        apply::refuse_foreign(card.as_ref(), manager)?;
        apply::refuse_foreign(binding.as_ref(), manager)?;
        let ending = job.as_ref().is_some_and(|job| Timer::of(job).over);
        // What is left of a share whose timer is gone goes too; a new one must not be taken for it.
        let orphaned = job.is_none()
            && role
                .iter()
                .map(|role| &role.metadata)
                .chain(card.iter().map(|card| &card.metadata))
                .any(|metadata| {
                    metadata
                        .owner_references
                        .as_ref()
                        .is_some_and(|owners| !owners.is_empty())
                });
        if (ending || orphaned) && pause < Duration::from_secs(3) {
            tokio::time::sleep(pause).await;
            pause *= 2;
            continue;
        }
        let share = job
            .as_ref()
            .and_then(|job| Share::of(job, role.as_ref(), cluster.now()));
        if let Some(share) = share
            .as_ref()
            .filter(|share| share.timer == TimerState::Stopped)
        {
            return Err(Error::new(format!(
                "{} is shared with {} already, but its timer (job `{}`) stands still",
                share.database, share.with, share.name
            ))
            .caused_by("it would never end by itself")
            .hint(format!(
                "end it, then share again: `kubectl share-db revoke {} --with {}`",
                share.database, share.with
            )));
        }
        return Ok(Existing {
            plan,
            share,
            role,
            binding,
            card,
            created: OnceCell::new(),
            created_role: OnceCell::new(),
        });
    }
}

/// A share as it is after the command.
struct Made {
    share: Share,
    step: Step,
    verdict: Verdict,
}

/// Makes all shares or none: what a failed or interrupted run has created is taken back.
async fn try_apply(
    cluster: &Cluster,
    resolved: &Resolved,
    shield: &commons::cli::Shield,
    dry_run: DryRun,
) -> Result<Vec<Made>> {
    let outcomes =
        shield
            .race(async {
                Ok(join_all(resolved.shares.iter().map(|existing| {
                    apply_one(cluster, resolved, existing, dry_run == DryRun::Server)
                }))
                .await)
            })
            .await;
    let failure = match outcomes {
        Ok(outcomes) => match outcomes.into_iter().collect::<Result<Vec<Made>>>() {
            Ok(made) => return Ok(made),
            Err(error) => error,
        },
        Err(error) => error,
    };
    if dry_run == DryRun::Server {
        return Err(failure);
    }
    let made = |existing: &&Existing| {
        existing.created.get().is_some() || existing.created_role.get().is_some()
    };
    let taken_back = resolved
        .shares
        .iter()
        .filter(made)
        .map(|existing| take_back(cluster, &resolved.database.namespace, existing));
    let taken_back = join_all(taken_back).await;
    let left: Vec<&str> = taken_back.iter().flatten().map(String::as_str).collect();
    if !left.is_empty() {
        return Err(failure.hint(format!(
            "something of it may be left; remove it: `kubectl delete {} --ignore-not-found -n {}`",
            left.join(" "),
            resolved.database.namespace
        )));
    }
    Err(match failure.kind() {
        Kind::Signal(_) => Error::of(failure.kind(), "interrupted: nothing new is shared"),
        _ if taken_back.is_empty() => failure,
        _ => failure.caused_by("nothing new is shared: what was made before that was taken back"),
    })
}

/// Deletes what this run has made of a share, and nothing else; what could not be is returned as kubectl names it.
async fn take_back(cluster: &Cluster, namespace: &str, existing: &Existing) -> Option<String> {
    let name = existing.plan.name.as_str();
    let job = async {
        match existing.created.get() {
            Some(uid) => {
                cluster
                    .delete::<Job>(namespace, name, Some(uid), false)
                    .await
            }
            None => Ok(false),
        }
    };
    // The cluster removes what the timer owns after it; this is sooner.
    let binding = async {
        match cluster.find::<RoleBinding>(namespace, name).await? {
            Some(binding)
                if existing
                    .created
                    .get()
                    .is_some_and(|timer| is_owned_by(&binding, timer)) =>
            {
                cluster
                    .delete::<RoleBinding>(namespace, name, binding.uid().as_deref(), false)
                    .await
            }
            _ => Ok(false),
        }
    };
    let role = async {
        match existing.created_role.get() {
            Some(uid) => {
                cluster
                    .delete::<Role>(namespace, name, Some(uid), false)
                    .await
            }
            None => Ok(false),
        }
    };
    let (job, binding, role) = futures::join!(job, binding, role);
    (job.is_err() || binding.is_err() || role.is_err())
        .then(|| format!("job/{name} rolebinding/{name} role/{name}"))
}

/// Makes the timer, and remembers that this run did.
async fn create_timer(
    cluster: &Cluster,
    namespace: &str,
    existing: &Existing,
    dry: bool,
) -> Result<Job> {
    let job = cluster.create(namespace, &existing.plan.job(), dry).await?;
    let _ = existing.created.set(job.uid().unwrap_or_default());
    Ok(job)
}

/// Makes the Role if there is none, and remembers that this run did; what there is then.
async fn create_role(
    cluster: &Cluster,
    database: &Database,
    existing: &Existing,
    dry: bool,
) -> Result<Option<Role>> {
    if existing.role.is_some() {
        return Ok(existing.role.clone());
    }
    let role = cluster
        .create(
            &database.namespace,
            &existing.plan.role(database, None),
            dry,
        )
        .await?;
    let _ = existing.created_role.set(role.uid().unwrap_or_default());
    Ok(Some(role))
}

async fn apply_one(
    cluster: &Cluster,
    resolved: &Resolved,
    existing: &Existing,
    dry: bool,
) -> Result<Made> {
    let Existing {
        plan,
        share,
        role,
        binding,
        card,
        ..
    } = existing;
    let database = &resolved.database;
    let namespace = &database.namespace;
    let step = step(
        share.as_ref().map(|share| &share.clock),
        plan.term,
        cluster.now(),
    );
    let (timer, job, role) = match (step, share) {
        (Step::Create, _) | (_, None) => {
            // A Role alone gives nothing to anybody, so it need not wait for the timer that will own it.
            let (job, role) = futures::join!(
                create_timer(cluster, namespace, existing, dry),
                create_role(cluster, database, existing, dry)
            );
            let job = job?;
            (Timer::of(&job), Some(job), role?)
        }
        (Step::Extend, Some(share)) => {
            let now = cluster.now();
            (
                grant::reset(cluster, namespace, &share.clock, plan.term, now, dry).await?,
                None,
                role.clone(),
            )
        }
        (Step::Keep, Some(share)) => (share.clock.clone(), None, role.clone()),
    };
    let owner = timer.owner_reference();
    let new_role = plan.role(database, Some(&owner));
    let role = async {
        match &role {
            // It was not stored.
            Some(_) if dry && existing.role.is_none() => Ok(Outcome::Created),
            role => apply::apply(cluster, namespace, &new_role, role.as_ref(), dry).await,
        }
    };
    // Nothing has to run for a share without an end.
    let running = async {
        match job {
            Some(job) if !dry && plan.term != Term::Forever => {
                grant::started(cluster, namespace, &job).await
            }
            _ => Ok(timer),
        }
    };
    let (timer, _) = futures::try_join!(running, role)?;
    let new_card = plan.card(database, &resolved.owner, timer.until(), Some(&owner));
    let new_binding = plan.role_binding(Some(&owner));
    // Last, so that nobody gets rights before their end is certain.
    let (card, binding) = futures::join!(
        apply::apply(cluster, namespace, &new_card, card.as_ref(), dry),
        apply::apply(cluster, namespace, &new_binding, binding.as_ref(), dry)
    );
    card?;
    match binding {
        // In a dry run the Role that it refers to was not stored, so the server cannot check more.
        Err(error) if dry && error.kind() == Kind::NotFound => {}
        outcome => drop(outcome?),
    }
    let job = Job {
        metadata: plan.job().metadata,
        ..Job::default()
    };
    let mut share = Share::of(&job, Some(&new_role), cluster.now())
        .ok_or_else(|| Error::new("the share cannot be read back"))?;
    share.namespace.clone_from(namespace);
    share = share.timed_by(timer, cluster.now());
    let verdict = if dry {
        Verdict::default()
    } else {
        verify::settled(
            cluster,
            namespace,
            &plan.colleague.subject,
            pod_to_prove(database),
        )
        .await?
    };
    share.verified = Some(verdict.may_forward);
    Ok(Made {
        share,
        step,
        verdict,
    })
}

/// The pod with which a share is proven: the one that serves, else the first.
fn pod_to_prove(database: &Database) -> &str {
    database
        .serving
        .as_ref()
        .map(|endpoint| endpoint.pod.as_str())
        .or_else(|| database.pods.first().map(String::as_str))
        .unwrap_or_default()
}

fn print_plan(cluster: &Cluster, ui: &Ui, args: &ShareArgs, resolved: &Resolved) -> Result<()> {
    let dry_run = args.dry_run.dry_run;
    let database = &resolved.database;
    let mut objects = Vec::new();
    for Existing {
        plan,
        share,
        role,
        binding,
        card,
        ..
    } in &resolved.shares
    {
        let outcome = |exists: bool| {
            if exists {
                Outcome::Configured
            } else {
                Outcome::Created
            }
        };
        let until = match plan.term {
            Term::For(duration) => cluster.now().checked_add(duration).ok(),
            Term::Forever => None,
        };
        let timer = match (
            share,
            step(
                share.as_ref().map(|share| &share.clock),
                plan.term,
                cluster.now(),
            ),
        ) {
            (None, _) => Outcome::Created,
            (_, Step::Keep) => Outcome::Unchanged,
            _ => Outcome::Configured,
        };
        objects.push(PlannedObject::new(&plan.job(), timer, dry_run)?);
        objects.push(PlannedObject::new(
            &plan.role(database, None),
            outcome(role.is_some()),
            dry_run,
        )?);
        objects.push(PlannedObject::new(
            &plan.card(database, &resolved.owner, until, None),
            outcome(card.is_some()),
            dry_run,
        )?);
        objects.push(PlannedObject::new(
            &plan.role_binding(None),
            outcome(binding.is_some()),
            dry_run,
        )?);
    }
    apply::print_objects(ui, args.output.output, &objects)
}

/// Who may do what, until when, and what they type.
fn report(
    cluster: &Cluster,
    ui: &Ui,
    args: &ShareArgs,
    resolved: &Resolved,
    made: &[Made],
) -> Result<()> {
    let database = &resolved.database;
    if args.output.output.is_some() {
        let shares: Vec<Share> = made.iter().map(|made| made.share.clone()).collect();
        return output::list(ui, args.output.output, &shares, "");
    }
    let now = cluster.now();
    for Made {
        share,
        step,
        verdict,
    } in made
    {
        let (what, asked) = match step {
            Step::Create => ("may connect", Some(args.term.duration)),
            Step::Extend => ("may now connect longer", Some(args.term.duration)),
            Step::Keep => ("may already connect", None),
        };
        let real = if share.subject.to_string() == share.with {
            String::new()
        } else {
            format!(" ({})", share.subject)
        };
        ui.result(format!(
            "{}{real} {what} to {} in {} {}.",
            share.with,
            database.name,
            database.namespace,
            share.term(now, asked)
        ))?;
        if verdict.more.is_empty() {
            ui.result(format!("Checked: {} may forward to {}, and may not read Secrets, exec into, list or delete pods.", share.with, pod_to_prove(database)))?;
        } else {
            let more: Vec<String> = verdict.more.iter().map(Right::to_string).collect();
            ui.warning(format!(
                "{} may do more here, by other rights than this share: {}",
                share.with,
                more.join(", ")
            ));
        }
        ui.result(format!(
            "For {} to type:  kubectl proxy-db {}/{}{}",
            share.with,
            database.namespace,
            database.name,
            if database.protocol == database::Protocol::Postgres {
                " -- psql"
            } else {
                ""
            }
        ))?;
        if args.plain_kubectl {
            ui.result(format!(
                "or, without it:  kubectl port-forward -n {} pod/{} {}",
                database.namespace,
                pod_to_prove(database),
                database
                    .serving
                    .as_ref()
                    .map_or(database.port, |endpoint| endpoint.port)
            ))?;
        }
        ui.result(format!(
            "To end it now:    kubectl share-db revoke {} --with {}",
            database.name, share.with
        ))?;
    }
    tell(ui, args, database, made, now);
    Ok(())
}

/// What is true and should be known, though nobody asked.
fn tell(ui: &Ui, args: &ShareArgs, database: &Database, made: &[Made], now: jiff::Timestamp) {
    for Made { share, .. } in made
        .iter()
        .filter(|made| made.step == Step::Keep && !args.term.forever)
    {
        let asked = now.checked_add(args.term.duration).ok();
        if share
            .until
            .zip(asked)
            .is_some_and(|(until, asked)| until.duration_since(asked).as_secs() > 1)
        {
            ui.hint(format!(
                "to make it shorter: `kubectl share-db extend {} --with {} --for {}`",
                database.name,
                share.with,
                duration::exact(args.term.duration)
            ));
        }
    }
    let everybody = ["system:authenticated", "system:serviceaccounts"];
    if made.iter().any(|made| matches!(&made.share.subject, subject::Subject::Group { name } if everybody.contains(&name.as_str()))) {
        ui.warning("that is everybody: each account of this cluster may now connect");
    }
    if args.plain_kubectl {
        ui.warning(format!("with --plain-kubectl they can also read the pod's definition, with every password that stands in its environment: `kubectl get pod {} -n {} -o yaml`", pod_to_prove(database), database.namespace));
    }
    if !database.lasting_names {
        ui.warning(format!(
            "the pod of {} gets another name when it restarts; share it again then",
            printable::line(&database.name)
        ));
    }
    if database.serving.is_none() {
        ui.warning(format!(
            "{} has no pod that is ready: nobody can connect at the moment",
            printable::line(&database.name)
        ));
    }
}

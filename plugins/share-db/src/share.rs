//! `share-db DATABASE --with USER`: makes a share, proves it, and says what the colleague types.

use commons::apply::{DryRun, DryRunFlags};
use commons::cli::Context;
use commons::cluster::{Identity, Right, refuse_lacking};
use commons::grant::{Term, TermFlags, is_owned_by};
use commons::names::owner_of;
use commons::output::OutputFlags;
use commons::shell::shell;
use commons::subject::{self, Meant, Pattern, Several, Subject};
use commons::{Cluster, Error, Kind, Result, Ui, printable};
use database::DatabaseRef;
use futures::future::try_join_all;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt;
use tokio::sync::OnceCell;

use crate::existing::{self, Existing, Step};
use crate::make::{self, ResolvedShare};
use crate::plan::{Colleague, Plan};
use crate::selection::more_time_for_others;
use crate::{report, verify};

const RBAC: &str = "rbac.authorization.k8s.io";

#[derive(Debug, clap::Args)]
pub struct ShareArgs {
    /// The database: a Service, a StatefulSet, a pod, a CloudNativePG cluster or a chart's release
    #[arg(value_name = "DATABASE")]
    database: Option<DatabaseRef>,
    /// Users to share with: `bob`, or exactly `user:NAME`, `group:NAME`, `serviceaccount:NAMESPACE/NAME`
    #[arg(long, value_name = "USER", num_args = 1..)]
    with: Vec<Several>,
    #[command(flatten)]
    pub term: TermFlags,
    /// For colleagues without this plugin: let them read the pod too, as `kubectl port-forward` wants (it may show passwords)
    #[arg(long)]
    pub plain_kubectl: bool,
    #[command(flatten)]
    pub dry_run: DryRunFlags,
    #[command(flatten)]
    pub output: OutputFlags,
}

pub async fn run(context: &Context, args: ShareArgs) -> Result<()> {
    let Context { cluster, ui, .. } = context;
    let term = args.term.term()?;
    if args.with.is_empty() {
        return Err(without_colleague(context, args.database.as_ref()));
    }
    let progress = ui.progress("Looking at the database");
    let resolved = resolve(cluster, ui, &args, term).await?;
    drop(progress);
    let dry_run = args.dry_run.dry_run;
    if dry_run == DryRun::Client {
        return report::plan(cluster, ui, &args, &resolved, None);
    }
    let shield = context.interrupt.shield();
    let (made, lines) = make::all(cluster, &resolved, &shield, dry_run).await?;
    if dry_run == DryRun::Server {
        return report::plan(cluster, ui, &args, &resolved, Some(&lines));
    }
    report::made(cluster, ui, &args, &resolved, &made)
}

/// Nobody is named to share with; what was taken for a database may have been a subcommand.
fn without_colleague(context: &Context, typed: Option<&DatabaseRef>) -> Error {
    let error = Error::usage("missing `--with USER`");
    match typed.and_then(|typed| context.command_meant(&typed.name)) {
        Some(command) => error.hint(format!("did you mean `{command}`?")),
        None => error
            .hint("for example: `kubectl share-db pg --with bob`")
            .hint("list what is shared: `kubectl share-db list`"),
    }
}

/// Reads what is needed, all that is independent at once.
async fn resolve(
    cluster: &Cluster,
    ui: &Ui,
    args: &ShareArgs,
    term: Term,
) -> Result<ResolvedShare> {
    let typed = match &args.database {
        Some(typed) => typed.clone(),
        None => database::choose(cluster, ui, &shell("kubectl share-db DATABASE --with USER"))
            .await
            .map_err(|error| match error.kind() {
                Kind::NotFound => {
                    error.hint("name its Service: `kubectl share-db SERVICE --with USER`")
                }
                _ => error,
            })?,
    };
    let database = async {
        let mut database = database::find(cluster, &typed).await?;
        // The colleague is told as whom and where to log in; the password stays here.
        database::learn_names(cluster, &mut database).await?;
        Ok::<_, Error>(database)
    };
    let (people, database) = futures::join!(people(cluster, ui, args, &typed, term), database);
    let People {
        owner,
        groups,
        shares,
    } = people?;
    let database = database?;
    Ok(ResolvedShare {
        secrets: database::secrets(&database),
        database,
        trust: OnceCell::new(),
        owner,
        groups,
        shares,
    })
}

/// Who shares with whom.
struct People {
    owner: String,
    groups: Vec<String>,
    shares: Vec<Existing>,
}

/// What people call the owner, and the shares to be, with what there is of them.
async fn people(
    cluster: &Cluster,
    ui: &Ui,
    args: &ShareArgs,
    database: &DatabaseRef,
    term: Term,
) -> Result<People> {
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
    refuse_lacking(namespace, &lacking?, "sharing", "`admin`")?;
    let identity = identity?;
    let bindings = bindings.unwrap_or_else(|_| {
        ui.warning(
            "the RoleBindings here cannot be read, so what members of groups may do was not asked",
        );
        Vec::new()
    });
    let pattern = Pattern::learn(namespace, &bindings, identity.as_ref());
    let mut plans = Vec::new();
    for typed in args.with.iter().flat_map(|several| &several.0) {
        let Meant { subject, note } = subject::resolve(typed, pattern.as_ref(), namespace)?;
        refuse_oneself(&subject, identity.as_ref(), database)?;
        if let Some(note) = note {
            ui.warning(note);
        }
        let colleague = Colleague::new(subject, pattern.as_ref().ok());
        plans.push(Plan::new(database, colleague, term, args.plain_kubectl));
    }
    for plan in &plans {
        warn_of_others(ui, plan, namespace, &bindings);
    }
    plans.sort_by(|a, b| a.name.cmp(&b.name));
    plans.dedup_by(|a, b| a.name == b.name);
    let shares = try_join_all(
        plans
            .into_iter()
            .map(|plan| existing::read(cluster, namespace, plan)),
    )
    .await?;
    shares
        .iter()
        .try_for_each(|existing| refuse_to_extend_others(existing, namespace, &bindings))?;
    Ok(People {
        owner: owner_called(namespace, identity.as_ref(), pattern.as_ref().ok()),
        groups: verify::groups_bound(&bindings),
        shares,
    })
}

/// Says of `RoleBindings` that somebody made by hand and that give this share's Role to others as soon as there is one.
fn warn_of_others(ui: &Ui, plan: &Plan, namespace: &str, bindings: &[RoleBinding]) {
    let gives_it = |binding: &&RoleBinding| {
        binding.role_ref.kind == "Role"
            && binding.role_ref.name == plan.name
            && binding.name_any() != plan.name
    };
    for binding in bindings.iter().filter(gives_it) {
        let name = binding.name_any();
        ui.warning(format!(
            "RoleBinding `{}`, made by hand, gives what is shared here to {} too{}",
            printable::line(&name),
            printable::short(&given_to(binding).join(", "), 300),
            if binding.owner_references().is_empty() {
                ", without an end"
            } else {
                ""
            }
        ));
        let delete = shell("kubectl delete rolebinding").arg(&name);
        ui.hint(format!(
            "if it is not meant: `{}`",
            delete.in_namespace(namespace)
        ));
    }
}

/// Refuses to give more time to somebody who was not named: whose `RoleBinding`, made by hand, goes with the timer that is to be
/// set.
fn refuse_to_extend_others(
    existing: &Existing,
    namespace: &str,
    bindings: &[RoleBinding],
) -> Result<()> {
    let Existing {
        plan, step, timer, ..
    } = existing;
    let Some(timer) = timer.as_ref().filter(|_| *step == Step::Extend) else {
        return Ok(());
    };
    let goes_with_it = |binding: &&RoleBinding| {
        binding.name_any() != plan.name && is_owned_by(*binding, &timer.uid)
    };
    let others: Vec<&RoleBinding> = bindings.iter().filter(goes_with_it).collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(more_time_for_others(
        others
            .iter()
            .flat_map(|binding| given_to(binding))
            .collect(),
        &plan.name,
        others.iter().map(|binding| binding.name_any()).collect(),
        namespace,
        &plan.command("kubectl share-db revoke"),
    ))
}

/// The subjects of a `RoleBinding`.
fn given_to(binding: &RoleBinding) -> Vec<String> {
    let subjects = binding.subjects.iter().flatten();
    subjects
        .filter_map(Subject::of_rbac)
        .map(|subject| subject.shown())
        .collect()
}

fn refuse_oneself(
    subject: &Subject,
    identity: Option<&Identity>,
    database: &DatabaseRef,
) -> Result<()> {
    let is_me =
        |identity: &Identity| matches!(subject, Subject::User { .. }) && subject.includes(identity);
    if !identity.is_some_and(is_me) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "`{}` is yourself: you already have access",
        subject.shown()
    ))
    .hint(format!(
        "connect: `{}`",
        shell("kubectl proxy-db").arg(database)
    )))
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
        (None, _) => owner_of(namespace).to_owned(),
    }
}

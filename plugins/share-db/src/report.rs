//! What is printed of a share that is made, or would be.

use commons::apply::{self, DryRun, Outcome, PlannedObject};
use commons::change;
use commons::cluster::Right;
use commons::grant::{Term, Timer};
use commons::output::{self, Format};
use commons::shell::shell;
use commons::subject::Subject;
use commons::{Cluster, Result, Ui, duration, printable};
use database::{Database, Protocol};
use jiff::Timestamp;

use crate::existing::{Existing, Step};
use crate::listed::Share;
use crate::make::{Made, ResolvedShare, pod_to_prove};
use crate::share::ShareArgs;
use crate::worth::{Worth, worth};

/// Prints what would be written; `tried` is what the API server said of it, a line an object. Documents that could be applied by
/// other means leave out what gives a right that is to end: a timer has its UID only once it is there, so nothing would end it.
pub fn plan(
    cluster: &Cluster,
    ui: &Ui,
    args: &ShareArgs,
    resolved: &ResolvedShare,
    tried: Option<&[String]>,
) -> Result<()> {
    let format = args.output.output;
    if let (Some(lines), None) = (tried, format) {
        return lines.iter().try_for_each(|line| ui.result(line));
    }
    let documents = matches!(format, Some(Format::Yaml | Format::Json));
    let mut objects = Vec::new();
    let mut left_out = false;
    for existing in &resolved.shares {
        let mut of_share = planned(cluster, args.dry_run.dry_run, resolved, existing)?;
        if documents && existing.plan.term != Term::Forever {
            // The binding is the last.
            left_out |= of_share.pop().is_some();
        }
        objects.extend(of_share);
    }
    if left_out {
        ui.warning("the RoleBinding is left out: applied by kubectl it would never end");
    }
    apply::print_objects(ui, format, &objects)
}

fn planned(
    cluster: &Cluster,
    dry_run: DryRun,
    resolved: &ResolvedShare,
    existing: &Existing,
) -> Result<Vec<PlannedObject>> {
    let Existing {
        plan,
        step,
        role,
        binding,
        card,
        ..
    } = existing;
    let database = &resolved.database;
    let timer = match step {
        Step::Create => Outcome::Created,
        Step::Keep => Outcome::Unchanged,
        Step::Extend => Outcome::Configured,
    };
    let owner = existing.timer.as_ref().map(Timer::owner_reference);
    let owner = owner.as_ref().filter(|_| *step != Step::Create);
    let kept = existing.timer.as_ref().and_then(Timer::until);
    let until = match plan.term {
        Term::For(_) if *step == Step::Keep => kept,
        Term::For(duration) => cluster.now().checked_add(duration).ok(),
        Term::Forever => None,
    };
    let wanted_card = plan.card(database, &resolved.owner, until, owner);
    let wanted_role = plan.role(database, owner);
    Ok(vec![
        PlannedObject::new(&plan.job(), timer, dry_run)?,
        change::planned(&wanted_role, role.as_ref(), dry_run)?,
        change::planned(&wanted_card, card.as_ref(), dry_run)?,
        change::planned(&plan.role_binding(owner), binding.as_ref(), dry_run)?,
    ])
}

/// Who may do what, until when, and what they type.
pub fn made(
    cluster: &Cluster,
    ui: &Ui,
    args: &ShareArgs,
    resolved: &ResolvedShare,
    made: &[Made],
) -> Result<()> {
    let database = &resolved.database;
    let in_words = args.output.output.is_none();
    if !in_words {
        let shares: Vec<Share> = made.iter().map(|made| made.share.clone()).collect();
        output::list(ui, args.output.output, &shares, "")?;
    }
    let now = cluster.now();
    for one in made {
        let worth = resolved
            .trust
            .get()
            .map(|trust| worth(&database.name, database.protocol, trust, &one.share.with));
        if in_words {
            who(ui, args, database, one, now)?;
            checked(ui, one, resolved, worth.as_ref())?;
        }
        warn(ui, one, worth.as_ref());
        if in_words {
            what_to_type(ui, args, database, &one.share)?;
        }
    }
    tell(ui, args, database, made, now);
    Ok(())
}

fn who(ui: &Ui, args: &ShareArgs, database: &Database, made: &Made, now: Timestamp) -> Result<()> {
    let share = &made.share;
    let (what, asked) = match made.step {
        Step::Create => ("may connect", Some(args.term.duration)),
        Step::Extend if made.before.is_none() => ("may connect", Some(args.term.duration)),
        Step::Extend => ("may now connect longer", Some(args.term.duration)),
        Step::Keep => ("may already connect", None),
    };
    let real = if share.subject.shown() == share.with {
        String::new()
    } else {
        format!(" ({})", share.subject.shown())
    };
    ui.result(format!(
        "{}{real} {what} to {} in {} {}.",
        share.with,
        database.name,
        database.namespace,
        share.term(now, asked)
    ))
}

/// What was proven.
fn checked(ui: &Ui, made: &Made, resolved: &ResolvedShare, worth: Option<&Worth>) -> Result<()> {
    let Made { share, besides, .. } = made;
    let with = &share.with;
    let pod = pod_to_prove(&resolved.database);
    let checked = match &share.subject {
        // Nobody but who logs them in knows the groups of a user.
        Subject::User { name } => format!("Checked for user {}", printable::ascii(name)),
        _ => "Checked".to_owned(),
    };
    let forward = format!("{checked}: {with} can forward to {pod}");
    let secret = match &resolved.secrets[..] {
        [] => "or list pods or Secrets".into(),
        [secret] => format!(
            "list pods or Secrets, or read Secret `{}`",
            printable::line(secret)
        ),
        _ => format!(
            "list pods or Secrets, or read those of {}",
            printable::line(&resolved.database.name)
        ),
    };
    match worth {
        // Whoever runs programs in the pod has more than any question about rights would tell.
        Some(Worth::Warning(_)) => return Ok(()),
        _ if besides.more.is_empty() && besides.unclear.is_empty() => {
            ui.result(format!(
                "{forward}, and cannot exec into it, delete it, {secret}."
            ))?;
        }
        _ => ui.result(format!("{forward}."))?,
    }
    if let Some(Worth::Checked(line)) = worth {
        ui.status(line);
    }
    Ok(())
}

/// What the colleague may do besides, and what was not asked.
fn warn(ui: &Ui, made: &Made, worth: Option<&Worth>) {
    let Made { share, besides, .. } = made;
    let with = &share.with;
    let listed = |rights: &[Right]| {
        let rights: Vec<String> = rights.iter().map(Right::to_string).collect();
        rights.join(", ")
    };
    if let Some(Worth::Warning(line)) = worth {
        ui.warning(line);
    }
    if !besides.more.is_empty() {
        ui.warning(format!(
            "{with} may do more here, by other rights than this share: {}",
            listed(&besides.more)
        ));
    }
    if !besides.unclear.is_empty() {
        ui.warning(format!(
            "the API server does not say for certain whether {with} may: {}",
            listed(&besides.unclear)
        ));
    }
    for (groups, rights) in &besides.in_groups {
        let groups: Vec<String> = groups.iter().map(|group| printable::ascii(group)).collect();
        ui.warning(format!(
            "members of group {} can do more here: {}, and {with} too if a member",
            groups.join(", of "),
            listed(rights)
        ));
    }
    if besides.groups_left > 0 {
        ui.warning(format!(
            "{} more groups have rights here; what their members can do was not checked",
            besides.groups_left
        ));
    }
}

fn what_to_type(ui: &Ui, args: &ShareArgs, database: &Database, share: &Share) -> Result<()> {
    let place = format!("{}/{}", database.namespace, database.name);
    let connect = shell("kubectl proxy-db").arg(place);
    let connect = if database.protocol == Protocol::Postgres {
        connect.then("-- psql")
    } else {
        connect
    };
    ui.result(format!("For {} to type:  {connect}", share.with))?;
    if args.plain_kubectl {
        let port = database
            .serving
            .as_ref()
            .map_or(database.port, |endpoint| endpoint.port);
        let forward = shell("kubectl port-forward -n")
            .arg(&database.namespace)
            .arg(format!("pod/{}", pod_to_prove(database)))
            .arg(port);
        ui.result(format!("or, without it:  {forward}"))?;
    }
    ui.result(format!(
        "To end it now:    {}",
        share.command("kubectl share-db revoke")
    ))
}

/// What is true and should be known, though nobody asked.
fn tell(ui: &Ui, args: &ShareArgs, database: &Database, made: &[Made], now: Timestamp) {
    for Made { share, step, .. } in made {
        tell_of_the_end(ui, args, share, *step, now);
    }
    let everybody = ["system:authenticated", "system:serviceaccounts"];
    if made.iter().any(|made| matches!(&made.share.subject, Subject::Group { name } if everybody.contains(&name.as_str()))) {
        ui.warning("that is everybody: each account of this cluster may now connect");
    }
    if args.plain_kubectl {
        let read = shell("kubectl get pod")
            .arg(pod_to_prove(database))
            .then("-n")
            .arg(&database.namespace)
            .then("-o yaml");
        ui.warning(format!("with --plain-kubectl they can also read the pod's definition, with every password that stands in its environment: `{read}`"));
    }
    database.warnings.iter().for_each(|text| ui.warning(text));
    if !database.lasting_names {
        ui.warning(format!(
            "the name of {}'s pod changes on restart; share it again afterwards",
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

/// Says where a share ends otherwise than it was asked for.
fn tell_of_the_end(ui: &Ui, args: &ShareArgs, share: &Share, step: Step, now: Timestamp) {
    if args.term.forever {
        return;
    }
    let asked = now.checked_add(args.term.duration).ok();
    let later = match share.until.zip(asked) {
        Some((until, asked)) => until.duration_since(asked).as_secs(),
        None => i64::MAX,
    };
    if step == Step::Keep && later > 1 {
        ui.hint(format!(
            "to make it shorter: `{}`",
            share
                .command("kubectl share-db extend")
                .then("--for")
                .arg(duration::exact(args.term.duration))
        ));
    }
    if step != Step::Keep && later < -60 {
        ui.warning("the cluster ends it earlier than you asked");
    }
}

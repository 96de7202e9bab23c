//! `share-db ask`: the one command that whoever wants to reach a database sends to its owner.

use std::time::Duration;

use commons::cli::Context;
use commons::grant::TermFlags;
use commons::shell::shell;
use commons::subject::{Pattern, Subject};
use commons::{Cluster, Error, Result, Ui, duration};
use database::DatabaseRef;
use database::card;
use k8s_openapi::api::rbac::v1::RoleBinding;

/// Print what to send to a database's owner, so that they can share it with you
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The database, with its owner's namespace in front: `user-alice/pg`
    #[arg(value_name = "NAMESPACE/DATABASE")]
    database: DatabaseRef,
    #[command(flatten)]
    term: TermFlags,
}

pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let Context { cluster, ui, .. } = context;
    let term = args.term.term()?;
    let Some(namespace) = args.database.namespace.as_deref() else {
        return Err(
            Error::usage("whose database? its owner's namespace is missing")
                .hint("for example: `kubectl share-db ask user-alice/pg`"),
        );
    };
    let (identity, shared) =
        futures::join!(cluster.identity(), card::find(cluster, &args.database));
    let identity = identity?.ok_or_else(|| {
        Error::new("the API server does not tell who you are")
            .caused_by("it is older than Kubernetes 1.28")
            .hint("ask your cluster administrator for your user name")
    })?;
    let me = Subject::user(identity.username);
    if let Ok((Some(card), _)) = shared {
        let until = card.until.map_or_else(String::new, |until| {
            format!(" until {}", duration::moment(until, cluster.now()))
        });
        ui.status(format!(
            "{namespace}/{} is shared with you already{until}.",
            card.database
        ));
    }
    ui.status(format!("Send this to the owner of {namespace}:"));
    let command = shell("kubectl share-db")
        .arg(format!("{namespace}/{}", args.database))
        .then("--with")
        .arg(&me);
    let command = if args.term.forever {
        command.then("--forever")
    } else {
        command.then("--for").arg(term)
    };
    ui.result(command.to_string())?;
    if let Subject::ServiceAccount { namespace, .. } = &me {
        tell_which_identity(cluster, ui, &me, namespace).await;
    }
    Ok(())
}

/// In an IDE of the cluster one is its ServiceAccount, on a laptop a person.
async fn tell_which_identity(cluster: &Cluster, ui: &Ui, me: &Subject, namespace: &str) {
    let bindings = tokio::time::timeout(
        Duration::from_secs(5),
        cluster.list_as_cached::<RoleBinding>(namespace),
    );
    let bindings = bindings.await.ok().and_then(Result::ok).unwrap_or_default();
    let person = Pattern::learn(namespace, &bindings, None)
        .ok()
        .and_then(|pattern| {
            let owner = namespace.strip_prefix(&pattern.namespace_prefix)?;
            Some(pattern.user(owner))
        });
    ui.warning(format!(
        "this is for the service you are in ({}): it does not reach the database from your own machine",
        me.shown()
    ));
    ui.hint(match person {
        Some(person) => format!(
            "to reach it from your own machine, write `{}` instead",
            shell("--with").arg(person)
        ),
        None => "to reach it from your own machine, run this command there".into(),
    });
}

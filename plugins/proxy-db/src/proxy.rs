//! From the words typed to connections carried.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use commons::cli::{Context, Interrupt};
use commons::cluster::Right;
use commons::error::rights_hints;
use commons::{Cluster, Error, Kind, Result, Ui};
use database::{Credentials, DatabaseRef, Protocol};
use tunnel::listener::{self, Admission, Bound, Callers, Destination, WantedPort};
use tunnel::{Endpoint, WebSocketPerConnection};

use crate::find::{FoundDatabase, find};
use crate::report::{self, Ready};
use crate::target::{News, Target};
use crate::{child, login, remedy, wait};

/// What was asked for.
#[derive(Debug)]
pub struct ProxyOptions {
    /// The database.
    pub database: DatabaseRef,
    /// The local port, if it matters.
    pub port: Option<u16>,
    /// Whether others on this machine may connect.
    pub any_local_user: bool,
    /// Whether the command keeps what the user's environment says of other databases.
    pub keep_env: bool,
    /// Whether to print a line for programs when ready.
    pub json: bool,
    /// What to run beside it, if anything.
    pub command: Vec<OsString>,
}

/// Finds the database, listens, says so and forwards until it is told to end.
///
/// # Errors
/// Of finding and listening; [`Kind::Child`] with the command's exit code, or 1 when the share has ended.
pub async fn run(context: &Context, options: ProxyOptions) -> Result<()> {
    let Context { cluster, ui, .. } = context;
    // A port that is taken is known before anything is asked of the cluster.
    let exactly = options
        .port
        .map(|port| listener::bind(WantedPort::Exactly(port)).map_err(remedy::phrased))
        .transpose()?;
    let found = find(cluster, &options.database).await?;
    let is_foreign = found.is_foreign();
    let FoundDatabase {
        database,
        credentials,
        card,
        is_among_others,
    } = found;
    let bound = match exactly {
        Some(bound) => bound,
        None => listener::bind(WantedPort::Preferably(database.port))?,
    };
    if let Some(taken) = &bound.instead {
        ui.warning(format!(
            "port {} is {}: using port {}",
            taken.port, taken.why, bound.port
        ));
    }
    // A command such as psql reads standard input; a credential plugin must not.
    if !options.command.is_empty() {
        cluster.leave_stdin_alone();
    }
    let admission = admission(&options, database.protocol);
    let engine = Rc::new(WebSocketPerConnection::new(cluster.clone()));
    let target = Rc::new(Target::new(
        cluster.clone(),
        options.database,
        database,
        card,
    ));
    let session = Session {
        cluster,
        ui,
        target: &target,
        credentials,
        is_foreign,
        is_among_others,
        is_for_everybody: admission.callers == Callers::Oneself && !listener::TELLS_CALLERS,
        addresses: bound.addresses(),
        port: bound.port,
    };
    if options.command.is_empty() {
        session.announce(options.json).await?;
    }
    let serving = async {
        tokio::select! {
            served = serve(bound, admission, &target, engine, ui) => served,
            () = login::remind(cluster, ui) => Ok(()),
        }
    };
    if options.command.is_empty() {
        serving.await?;
        return Err(Error::of(Kind::Child(1), ""));
    }
    let working = session.work(&options.command, options.keep_env, &context.interrupt);
    tokio::pin!(serving, working);
    tokio::select! {
        biased;
        outcome = &mut working => outcome,
        // It could not listen; the command decides when it has enough.
        served = &mut serving => served.and(working.await),
    }
}

/// Whom the port is for, and for how long it is kept.
fn admission(options: &ProxyOptions, protocol: Protocol) -> Admission {
    Admission {
        callers: if options.any_local_user {
            Callers::Anyone
        } else {
            Callers::Oneself
        },
        no_pages: protocol == Protocol::Http,
        keeps_port: !options.command.is_empty(),
    }
}

/// Carries connections until the share ends, says that, and goes on with those that are open.
async fn serve(
    bound: Bound,
    admission: Admission,
    target: &Rc<Target>,
    engine: Rc<WebSocketPerConnection>,
    ui: &Ui,
) -> Result<()> {
    let ending = async {
        while target.news().await == News::Prolonged {
            say_shared(target, ui);
        }
        ui.error(&target.take_end());
    };
    let tell = {
        let ui = ui.clone();
        move |notice| remedy::tell(&ui, notice)
    };
    listener::serve(bound, admission, target.clone(), engine, tell, ending).await
}

/// Says whose the database is and until when one may use it, if it is somebody else's.
fn say_shared(target: &Target, ui: &Ui) {
    if let Some(card) = target.card() {
        ui.status(report::shared(&card, target.now()));
    }
}

/// One run, once it listens.
struct Session<'a> {
    cluster: &'a Cluster,
    ui: &'a Ui,
    target: &'a Target,
    credentials: Credentials,
    /// Whether the database is somebody else's.
    is_foreign: bool,
    /// Whether its namespace is, though we may see what is in it.
    is_among_others: bool,
    /// Whether every user of this machine can connect, without having been asked for.
    is_for_everybody: bool,
    addresses: Vec<SocketAddr>,
    port: u16,
}

impl Session<'_> {
    /// Checks that it can work and says what is connected to what.
    async fn announce(&self, json: bool) -> Result<()> {
        let database = self.target.database();
        let endpoint = match &database.serving {
            Some(endpoint) => endpoint.clone(),
            None => self.target.endpoint().await?,
        };
        let card = self.target.card();
        if card.is_none() {
            may_forward(self.cluster, &endpoint).await?;
        }
        self.say_connected(&endpoint).await;
        if let Some(client) = report::client(database, &self.credentials, self.port) {
            self.ui.status(format!("Connect with: {client}"));
        }
        self.ui.status("Ctrl-C ends it");
        if json {
            let ready = Ready {
                address: Ipv4Addr::LOCALHOST.to_string(),
                port: self.port,
                namespace: &database.namespace,
                database: &database.name,
                pod: &endpoint.pod,
                until: card.and_then(|card| card.until),
            };
            self.ui.result(ready.line()?)?;
        }
        Ok(())
    }

    async fn say_connected(&self, endpoint: &Endpoint) {
        self.ui.status(report::forwarding(
            &self.addresses,
            self.target.database(),
            endpoint,
            self.cluster.context(),
        ));
        if self.is_among_others {
            self.ui
                .status(report::among_others(&self.target.database().namespace));
        }
        say_shared(self.target, self.ui);
        if self.is_for_everybody {
            self.ui.status("Every user of this machine can connect: this system does not tell whose a connection is");
        }
        for note in &self.credentials.notes {
            self.ui.warning(note.to_string());
        }
        login::announce(self.cluster, self.ui).await;
    }

    /// Waits for the database, then runs the command.
    async fn work(
        &self,
        command: &[OsString],
        keep_env: bool,
        interrupt: &Interrupt,
    ) -> Result<()> {
        wait::until_it_answers(self.target, self.port, self.ui).await?;
        if let Some(endpoint) = self.target.last_endpoint() {
            self.say_connected(&endpoint).await;
        }
        let host = Ipv4Addr::LOCALHOST.to_string();
        let mut environment = database::environment(
            self.target.database(),
            &self.credentials,
            &host,
            self.port,
            self.is_foreign,
        );
        if keep_env {
            environment = environment.keeping_the_users();
        }
        if let Some(warning) = report::left_out(&child::left_out(&environment)) {
            self.ui.warn(&warning);
        }
        child::run(command, &environment, self.ui, interrupt).await
    }
}

/// Tells those who may not forward before they wonder why no connection works: roles such as `view` let them see a database
/// but not reach it. Servers ask for one of two verbs, by their version (create from 1.35 on).
async fn may_forward(cluster: &Cluster, to: &Endpoint) -> Result<()> {
    let rights = ["get", "create"].map(|verb| Right::core(verb, "pods/portforward").on(&to.pod));
    if cluster.lacks(&to.namespace, &rights).await?.len() < rights.len() {
        return Ok(());
    }
    Err(Error::of(
        Kind::Forbidden,
        format!(
            "not allowed to forward ports of pod `{}` in namespace `{}`",
            to.pod, to.namespace
        ),
    )
    .hints_from(rights_hints(Some(&to.namespace))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_for_oneself_unless_everybody_is_asked_for_and_stays_while_a_command_runs() {
        for (any_local_user, command, callers) in [
            (false, Vec::new(), Callers::Oneself),
            (true, Vec::new(), Callers::Anyone),
            (false, vec![OsString::from("psql")], Callers::Oneself),
        ] {
            let keeps_port = !command.is_empty();
            let options = ProxyOptions {
                database: "pg".parse().expect("a name"),
                port: None,
                any_local_user,
                keep_env: false,
                json: false,
                command,
            };
            let of = |protocol| admission(&options, protocol);
            assert_eq!(of(Protocol::Postgres).callers, callers);
            assert_eq!(of(Protocol::Postgres).keeps_port, keeps_port);
            assert!(of(Protocol::Http).no_pages && !of(Protocol::Postgres).no_pages);
        }
    }
}

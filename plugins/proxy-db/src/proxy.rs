//! From the words typed to connections carried.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use commons::cli::Interrupt;
use commons::cluster::Right;
use commons::database::{self, Credentials, Typed};
use commons::error::rights_hints;
use commons::listener::{self, Bound, Callers, Destination, Wanted};
use commons::tunnel::{Endpoint, WebSocketPerConnection};
use commons::{Cluster, Error, Kind, Result, Ui};

use crate::find::{Found, find};
use crate::report::{self, Ready};
use crate::target::{News, Target};
use crate::{child, login, wait};

/// What was asked for.
#[derive(Debug)]
pub struct Wishes {
    /// The database.
    pub database: Typed,
    /// The local port, if it matters.
    pub port: Option<u16>,
    /// Whether others on this machine may connect.
    pub any_local_user: bool,
    /// Whether to print a line for programs when ready.
    pub json: bool,
    /// What to run beside it, if anything.
    pub command: Vec<OsString>,
}

/// Finds the database, listens, says so and forwards until it is told to end.
///
/// # Errors
/// Of finding and listening; [`Kind::Child`] with the command's exit code, or 1 when the share has ended.
pub async fn run(cluster: &Cluster, ui: &Ui, interrupt: &Interrupt, wishes: Wishes) -> Result<()> {
    // A port that is taken is known before anything is asked of the cluster.
    let exactly = wishes
        .port
        .map(|port| listener::bind(Wanted::Exactly(port)))
        .transpose()?;
    let Found {
        database,
        credentials,
        card,
    } = find(cluster, &wishes.database).await?;
    let bound = match exactly {
        Some(bound) => bound,
        None => listener::bind(Wanted::Preferably(database.port))?,
    };
    if let Some(taken) = &bound.instead {
        ui.warning(format!(
            "port {} is {}: using port {}",
            taken.port, taken.why, bound.port
        ));
    }
    // A command such as psql reads standard input; a credential plugin must not.
    if !wishes.command.is_empty() {
        cluster.leave_stdin_alone();
    }
    let engine = Rc::new(WebSocketPerConnection::new(cluster.clone()));
    let target = Rc::new(Target::new(
        cluster.clone(),
        wishes.database,
        database,
        card,
    ));
    let callers = if wishes.any_local_user {
        Callers::Anyone
    } else {
        Callers::Oneself
    };
    let session = Session {
        cluster,
        ui,
        target: &target,
        credentials,
        addresses: bound.addresses(),
        port: bound.port,
    };
    if wishes.command.is_empty() {
        session.announce(wishes.json).await?;
    }
    let serving = async {
        tokio::select! {
            served = serve(bound, callers, &target, engine, ui) => served,
            () = login::remind(cluster, ui) => Ok(()),
        }
    };
    if wishes.command.is_empty() {
        serving.await?;
        return Err(Error::of(Kind::Child(1), ""));
    }
    let working = session.work(&wishes.command, interrupt);
    tokio::pin!(serving, working);
    tokio::select! {
        biased;
        outcome = &mut working => outcome,
        // The share has ended; the command decides when it has enough.
        served = &mut serving => served.and(working.await),
    }
}

/// Carries connections until the share ends, says that, and goes on with those that are open.
async fn serve(
    bound: Bound,
    callers: Callers,
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
    listener::serve(bound, callers, target.clone(), engine, ui.clone(), ending).await
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
        say_shared(self.target, self.ui);
        for note in &self.credentials.notes {
            self.ui.warning(note.to_string());
        }
        login::announce(self.cluster, self.ui).await;
    }

    /// Waits for the database, then runs the command.
    async fn work(&self, command: &[OsString], interrupt: &Interrupt) -> Result<()> {
        wait::until_it_answers(self.target, self.port, self.ui).await?;
        if let Some(endpoint) = self.target.last_endpoint() {
            self.say_connected(&endpoint).await;
        }
        let host = Ipv4Addr::LOCALHOST.to_string();
        let variables =
            database::environment(self.target.database(), &self.credentials, &host, self.port);
        child::run(command, &variables, self.ui, interrupt).await
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

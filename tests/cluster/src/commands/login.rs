//! `cluster login`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{fault::parse_duration, say};
use crate::{
    cluster::Cluster,
    error::Result,
    issuer::{Lifetimes, Realm},
    layout::Layout,
};

/// Change how long logins last, end them, count refreshes
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Set how long logins of a realm last; what is not named gets Keycloak's default
    Lifetimes(LifetimesArguments),
    /// End every session of a user
    End {
        name: String,
        #[arg(long, value_enum, default_value_t)]
        realm: Realm,
    },
    /// Count the refreshes of a user
    Refreshes {
        name: String,
        #[arg(long, value_enum, default_value_t)]
        realm: Realm,
    },
}

#[derive(Debug, Args)]
pub(super) struct LifetimesArguments {
    #[arg(long, value_enum, default_value_t)]
    realm: Realm,
    /// How long an id-token is valid
    #[arg(long, value_parser = parse_duration, default_value = "5m")]
    id_token: Duration,
    /// A refresh token can be used only once
    #[arg(long)]
    single_use: bool,
    /// How long a session lasts without a refresh
    #[arg(long, value_parser = parse_duration, default_value = "30m")]
    session: Duration,
}

pub(super) fn run(layout: &Layout, action: &Action) -> Result<()> {
    let issuer = Cluster::node(layout)?.issuer()?;
    match action {
        Action::Lifetimes(arguments) => {
            let lifetimes = Lifetimes {
                id_token: arguments.id_token,
                single_use: arguments.single_use,
                session: arguments.session,
            };
            issuer.set_lifetimes(arguments.realm, lifetimes)?;
            say(&format!("realm {} changed", arguments.realm.name()));
        }
        Action::End { name, realm } => {
            issuer.end_sessions(*realm, name)?;
            say(&format!("sessions of {name} ended"));
        }
        Action::Refreshes { name, realm } => {
            let refreshes = issuer.refreshes(*realm, name)?;
            say(&format!(
                "{} succeeded, {} failed",
                refreshes.succeeded, refreshes.failed
            ));
        }
    }
    Ok(())
}

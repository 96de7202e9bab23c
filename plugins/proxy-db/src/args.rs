//! The command line of `proxy-db`.

use std::ffi::OsString;

use clap::{Parser, ValueEnum};
use commons::cli::{Context, Globals, Plugin};
use commons::{Kind, Result, shell};
use database::DatabaseRef;

use crate::proxy;

/// The plugin's name in what it sends to the API server.
const MANAGER: &str = "kubectl-proxy-db";

const USAGE: &str = "kubectl proxy-db [NAMESPACE/]DATABASE [--port PORT] [-- COMMAND...]";

const EXAMPLES: &str = "\
Examples:
  # my database pg at localhost:5432 (or the next free port), until Ctrl-C
  kubectl proxy-db pg

  # a SQL prompt: connected and logged in, the tunnel ends with it
  kubectl proxy-db pg -- psql

  # a database that Alice shares with me, at a port of my choice
  kubectl proxy-db user-alice/pg --port 15432

  # any program that reads DATABASE_URL or PGHOST, PGPORT, PGUSER...
  kubectl proxy-db pg -- python train.py";

/// Reach a database of the cluster, yours or one shared with you, at a local address
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-proxy_db",
    bin_name = "kubectl proxy-db",
    display_name = "kubectl proxy-db",
    version,
    override_usage = USAGE,
    after_help = EXAMPLES
)]
pub struct Args {
    /// What is meant: `pg`, `svc/pg`, `statefulset/pg` or `pod/pg-0`; another's with the namespace in front
    #[arg(value_name = "DATABASE")]
    database: Option<DatabaseRef>,

    /// Listen on this port of this machine, or fail [default: the database's port if free, otherwise another]
    #[arg(long, value_name = "PORT", value_parser = port, allow_hyphen_values = true)]
    port: Option<u16>,

    /// Let other users of this machine connect too (the database may take them for its administrator)
    #[arg(long)]
    any_local_user: bool,

    /// Pass on PGPASSWORD, PGUSER and the like of your own environment to the command too
    ///
    /// Without this flag the command gets no variable of yours that names a database's server, login or secret: they may be
    /// for another database, whose password a server would then be sent that is not meant to have it.
    #[arg(long, requires = "command")]
    keep_env: bool,

    /// Print one line when ready, for programs
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        conflicts_with = "command"
    )]
    output: Option<ReadyFormat>,

    /// Run this once the database answers, with PGHOST, PGUSER and the like set; the tunnel closes when it ends
    ///
    /// What is known of the database is set as the clients of its kind read it. If it is somebody else's, libpq reads no
    /// ~/.pgpass and sends no password in clear text. The program `mysql` reads ~/.my.cnf in any case, which may name another
    /// server or hold a password: `-- mysql --no-defaults` keeps it out.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    #[command(flatten)]
    globals: Globals,
}

/// How to say that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReadyFormat {
    /// One line of JSON.
    Json,
}

impl Plugin for Args {
    type Command = Self;

    fn globals(&self) -> &Globals {
        &self.globals
    }

    fn check(self) -> Result<Self> {
        Ok(self)
    }

    fn manager(_: &Self) -> &'static str {
        MANAGER
    }

    async fn run(args: Self, context: Context) -> Result<()> {
        let database = match args.database {
            Some(typed) => typed,
            None => database::choose(
                &context.cluster,
                &context.ui,
                &shell("kubectl proxy-db DATABASE"),
            )
            .await
            .map_err(|error| match error.kind() {
                Kind::NotFound => {
                    error.hint("a colleague's: `kubectl proxy-db NAMESPACE/DATABASE`")
                }
                _ => error,
            })?,
        };
        let options = proxy::ProxyOptions {
            database,
            port: args.port,
            any_local_user: args.any_local_user,
            keep_env: args.keep_env,
            json: args.output == Some(ReadyFormat::Json),
            command: args.command,
        };
        proxy::run(&context, options).await
    }
}

/// A port that can be listened on.
fn port(text: &str) -> Result<u16, String> {
    let port: Option<u16> = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| "a port is a number from 1 to 65535".into())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::Args;

    fn parse(words: &[&str]) -> Result<Args, clap::error::ErrorKind> {
        Args::try_parse_from(["kubectl-proxy_db"].iter().chain(words)).map_err(|error| error.kind())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn takes_what_people_type() {
        let args = parse(&["user-alice/pg", "--port", "15432"]).expect("it is right");
        assert_eq!(args.port, Some(15432));
        let args = parse(&[
            "pg",
            "--context",
            "x",
            "--",
            "psql",
            "-c",
            "select 1",
            "--port",
        ]);
        assert_eq!(args.expect("it is right").command.len(), 4);
        assert!(parse(&[]).expect("it is right").database.is_none());
    }

    #[test]
    fn refuses_what_cannot_be_meant() {
        for words in [
            &["pg", "--port", "0"][..],
            &["pg", "--port", "65536"],
            &["pg", "--port", "-1"],
            &["pg", "--port", "http"],
            &["-pg"],
            &["--", "psql"][..1],
            &["pg\u{1b}[31m"],
            &["a/b/c"],
            &["../pg"],
            &["PG"],
            &["pg", "psql"],
            &["pg", "-o", "yaml"],
            &["pg", "-o", "json", "--", "psql"],
            &["pg", "--keep-env"],
        ] {
            if words == ["--"] {
                assert!(parse(words).is_ok(), "nothing after it is no command");
                continue;
            }
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}

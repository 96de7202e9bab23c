//! The flags of deploying, and what they mean together.

use std::time::Duration;

use commons::apply::{DryRun, DryRunFlags};
use commons::output::OutputFlags;
use commons::{Error, Result, printable};

use crate::inputs::InputFlags;
use crate::settings::Edit;
use crate::uses::UseInput;
use commons::quantity::{Quantity, meant};
use commons::shell::shell;

/// What only an app by name has; with `-f` the files say it.
const NAMED: [&str; 16] = [
    "name",
    "port",
    "replicas",
    "cpu",
    "memory",
    "uses",
    "allow_root",
    "run_as",
    "env",
    "env_file",
    "config",
    "secret",
    "secret_file",
    "command",
    "words",
    "expose",
];

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct DeployArgs {
    /// The app: the name of its Deployment and of its Service
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// What stands there by mistake; refused with the right spelling.
    #[arg(hide = true)]
    pub more: Vec<String>,
    /// The image to run; with -f, the one to take instead of the file's
    #[arg(long, value_name = "[CONTAINER=]IMAGE")]
    pub image: Vec<String>,
    /// Deploy these manifests instead: a file, a directory, or `-` for standard input; may be repeated
    #[arg(short, long, value_name = "FILE", conflicts_with_all = NAMED)]
    pub filename: Vec<String>,
    /// The port that the app listens on, or `none`
    #[arg(long, value_name = "PORT", allow_negative_numbers = true, value_parser = port, help_heading = "App")]
    pub port: Option<Edit<u16>>,
    /// How many pods
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = replicas, help_heading = "App")]
    pub replicas: Option<i32>,
    /// CPU to reserve, such as `100m` or `2`
    #[arg(long, value_name = "QUANTITY", allow_negative_numbers = true, value_parser = quantity, help_heading = "App")]
    pub cpu: Option<Quantity>,
    /// Memory to reserve, which is its limit too, such as `256Mi` or `2Gi`
    #[arg(long, value_name = "QUANTITY", allow_negative_numbers = true, value_parser = memory, help_heading = "App")]
    pub memory: Option<Quantity>,
    /// Give the app the login of this PostgreSQL database of the namespace: `PGHOST`, ..., `DATABASE_URL` (`DATABASE-` takes it away)
    #[arg(long = "use", value_name = "DATABASE", help_heading = "App")]
    pub uses: Option<UseInput>,
    /// Replace the image's command, not only its arguments, by what stands after `--`; with nothing there, use the image's again
    #[arg(long, help_heading = "App")]
    pub command: bool,
    /// Let the image run as root, for images that must
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, help_heading = "App")]
    pub allow_root: Option<bool>,
    /// Run as the user of this number, for images that do not say one
    #[arg(long, value_name = "UID", allow_negative_numbers = true, value_parser = user, help_heading = "App")]
    pub run_as: Option<i64>,
    #[command(flatten)]
    pub inputs: InputFlags,
    /// Give the app an HTTPS address, at this host if one is named
    #[arg(long, num_args = 0..=1, default_missing_value = "", value_name = "HOST", value_parser = host, help_heading = "Deploying")]
    pub expose: Option<String>,
    /// Fail on warnings, before anything is written
    #[arg(long, help_heading = "Deploying")]
    pub strict: bool,
    /// Wait at most this long until the app runs
    #[arg(long, value_name = "DURATION", value_parser = commons::duration::parse, default_value = "5m", help_heading = "Deploying")]
    pub timeout: Duration,
    /// Do not wait until the app runs
    #[arg(long, help_heading = "Deploying")]
    pub no_wait: bool,
    /// With -f: take fields that others have changed
    #[arg(long, requires = "filename", help_heading = "Deploying")]
    pub force_conflicts: bool,
    #[command(flatten)]
    pub dry_run: DryRunFlags,
    #[command(flatten)]
    pub output: OutputFlags,
    /// Arguments for the app
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub words: Vec<String>,
}

fn port(text: &str) -> Result<Edit<u16>, String> {
    if text == "none" {
        return Ok(Edit::Remove);
    }
    match text.parse::<u16>() {
        Ok(number) if number > 0 => Ok(Edit::Set(number)),
        _ => Err("a port is a number from 1 to 65535, or `none`".into()),
    }
}

fn replicas(text: &str) -> Result<i32, String> {
    match text.parse::<i32>() {
        Ok(number) if (0..=1000).contains(&number) => Ok(number),
        _ => Err("write a number from 0 to 1000".into()),
    }
}

fn user(text: &str) -> Result<i64, String> {
    match text.parse::<i64>() {
        Ok(number) if (1..=4_294_967_294).contains(&number) => Ok(number),
        Ok(0) => Err("0 is root: that is `--allow-root`".into()),
        _ => Err("write the number of a user, such as 1000".into()),
    }
}

/// The host after `--expose`, if there is one.
fn host(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    exposure::parse_host(text)
}

/// 1 Pi, of cores or bytes: what is more is mistyped.
const MOST: Quantity = Quantity::units(1 << 50);

fn quantity(text: &str) -> Result<Quantity, String> {
    match text.parse::<Quantity>() {
        Ok(amount) if amount > MOST => Err("that is more than any cluster has".into()),
        Ok(amount) if amount > Quantity::default() => Ok(amount),
        _ => Err("write CPU like `100m` or `2`, memory like `256Mi` or `2Gi`".into()),
    }
}

/// As [`quantity`]; of memory, less than a mebibyte is mistyped too.
fn memory(text: &str) -> Result<Quantity, String> {
    match quantity(text) {
        Ok(amount) if amount < Quantity::mebibytes(1) => {
            Err("that is too little for any program; memory is written `256Mi` or `2Gi`".into())
        }
        Err(why) => Err(match meant(text) {
            Some(meant) => format!("write `{meant}`"),
            None => why,
        }),
        amount => amount,
    }
}

/// How to go about it, whatever is deployed.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    pub strict: bool,
    pub timeout: Duration,
    pub wait: bool,
    pub force: bool,
    pub dry_run: DryRun,
    pub output: OutputFlags,
}

/// What `-f` deploys.
#[derive(Debug)]
pub struct FromFiles {
    pub files: Vec<String>,
    /// `[CONTAINER=]IMAGE`
    pub images: Vec<String>,
    pub mode: Mode,
}

/// What `NAME` deploys, checked.
#[derive(Debug)]
pub struct ByName {
    pub name: String,
    pub args: DeployArgs,
    pub mode: Mode,
}

impl DeployArgs {
    pub fn is_from_files(&self) -> bool {
        !self.filename.is_empty()
    }

    fn mode(&self) -> Mode {
        Mode {
            strict: self.strict,
            timeout: self.timeout,
            wait: !self.no_wait,
            force: self.force_conflicts,
            dry_run: self.dry_run.dry_run,
            output: self.output,
        }
    }

    /// The arguments for `-f`.
    pub fn for_files(self) -> FromFiles {
        FromFiles {
            mode: self.mode(),
            files: self.filename,
            images: self.image,
        }
    }

    /// The arguments for an app by name.
    ///
    /// # Errors
    /// No name, one that cannot be, or words that stand in the wrong place.
    pub fn for_name(self) -> Result<ByName> {
        let Some(name) = self.name.clone() else {
            let error = Error::usage("missing NAME");
            if let Some(host) = self.expose.filter(|host| !host.is_empty()) {
                return Err(error.hint(format!(
                    "the name comes first: `{}`",
                    shell("kubectl deploy-app NAME --expose").arg(host)
                )));
            }
            return Err(error
                .hint("for example: `kubectl deploy-app web --image IMAGE --port 8000`")
                .hint("list your apps: `kubectl deploy-app list`"));
        };
        if let Some(word) = self.more.first() {
            let shown = printable::short(word, 80);
            let error = Error::usage(format!(
                "what is `{shown}`? one app at a time, and flags for the rest"
            ));
            return Err(if self.command {
                error.hint("what is to be run stands after `--`: `--command -- python app.py`")
            } else if self.image.is_empty() {
                error.hint(format!(
                    "if it is the image: `{}`",
                    shell("--image").arg(word)
                ))
            } else {
                error.hint("arguments for the app stand after `--`")
            });
        }
        check_name(&name)?;
        if self.image.len() > 1 {
            return Err(Error::usage("`--image` is given twice"));
        }
        Ok(ByName {
            name,
            mode: self.mode(),
            args: self,
        })
    }
}

/// A name that a Service may have (RFC 1035), since there will be one.
fn check_name(name: &str) -> Result<()> {
    let fits = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if fits {
        return Ok(());
    }
    let error = Error::usage(format!(
        "`{}` cannot be the name of an app",
        printable::short(name, 80)
    ))
    .caused_by(
        "a name has only lower-case letters, digits and `-`, a letter first, and is at most 63 long",
    );
    if name.contains(['/', ':']) {
        return Err(error
            .hint("the name comes first, then the image: `kubectl deploy-app web --image IMAGE`"));
    }
    let words = name
        .to_lowercase()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let words = words.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let fitting: String = words.chars().take(40).collect();
    Err(match fitting.trim_end_matches('-') {
        "" => error,
        fitting => error.hint(format!("for example `{fitting}`")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_service_may_have() {
        for name in ["web", "a", "my-app-2", "list-of-things", &"a".repeat(63)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for (name, hint) in [
            ("My_App", Some("for example `my-app`")),
            ("2web", Some("for example `web`")),
            ("web.1", Some("for example `web-1`")),
            ("web-", Some("for example `web`")),
            (
                "web:1",
                Some(
                    "the name comes first, then the image: `kubectl deploy-app web --image IMAGE`",
                ),
            ),
            ("", None),
            ("名", None),
        ] {
            let error = check_name(name).expect_err(name);
            assert_eq!(error.hints().first().map(AsRef::as_ref), hint, "{name}");
        }
    }

    #[test]
    fn ports_and_amounts() {
        assert_eq!(port("8000"), Ok(Edit::Set(8000)));
        assert_eq!(port("none"), Ok(Edit::Remove));
        for text in ["0", "65536", "-1", "http", ""] {
            assert!(port(text).is_err(), "{text}");
        }
        assert_eq!(replicas("0"), Ok(0));
        for text in ["-1", "1001", "many", "99999999999"] {
            assert!(replicas(text).is_err(), "{text}");
        }
        assert_eq!(user("1000"), Ok(1000));
        for text in ["0", "-1", "root"] {
            assert!(user(text).is_err(), "{text}");
        }
        for text in ["0", "", "lots", "-1"] {
            assert!(quantity(text).is_err(), "{text}");
        }
    }
}

//! Credential plugins: programs that print credentials (`exec` in a kubeconfig), run as kubectl runs them.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use super::hints;
use super::policy::Policy;
use crate::error::{Error, Kind, Result};
use crate::printable;

/// How long a signal that reaches both the plugin and us takes at most until it is noticed.
const SIGNAL: Duration = Duration::from_millis(100);

/// A program that prints credentials, and how to run it.
#[derive(Clone)]
pub(super) struct Plugin {
    /// A bare name, which is looked for in PATH, or a path.
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    /// `client.authentication.k8s.io/v1`, or `v1beta1`.
    pub(super) api_version: String,
    pub(super) interactive: Interactive,
    /// What the kubeconfig says to people who do not have the program.
    pub(super) install_hint: Option<String>,
    /// What it is told of the cluster, if it wants to know.
    pub(super) cluster: Option<Value>,
}

/// Whether a plugin reads standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interactive {
    Never,
    IfAvailable,
    Always,
}

/// What a plugin printed.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) token: Option<SecretString>,
    /// A client certificate and its key, in PEM.
    pub(super) certificate: Option<(String, SecretString)>,
    pub(super) ends: Option<Timestamp>,
}

impl Plugin {
    /// Runs the program until it ends, however long a person takes to log in. What it writes to standard error is shown as it
    /// comes. It has the terminal's standard input, unless that belongs to another program by now.
    ///
    /// # Errors
    /// It may not be run, is not there, fails, or prints something else.
    pub(super) async fn run(&self, policy: &Policy, stdin_is_ours: bool) -> Result<Printed> {
        // Looked for in our PATH, as kubectl does; what is judged is what runs.
        let program = found(&self.program)
            .ok_or_else(|| self.not_started(&io::ErrorKind::NotFound.into()))?;
        policy.admit(&self.program, &program)?;
        let interactive = self.reads_stdin(stdin_is_ours)?;
        let mut command = Command::new(&program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env(
                "KUBERNETES_EXEC_INFO",
                self.request(interactive).to_string(),
            )
            .stdin(if interactive {
                Stdio::inherit()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        let child = command.spawn().map_err(|error| self.not_started(&error))?;
        let output = child
            .wait_with_output()
            .await
            .map_err(|error| self.not_started(&error))?;
        if !output.status.success() {
            // Ctrl-C at a terminal reaches both, and the plugin may be the first to end: then this is where we end.
            tokio::time::sleep(SIGNAL).await;
        }
        self.read(&output)
    }

    fn reads_stdin(&self, stdin_is_ours: bool) -> Result<bool> {
        let available = stdin_is_ours && std::io::stdin().is_terminal();
        match self.interactive {
            Interactive::Never => Ok(false),
            Interactive::IfAvailable => Ok(available),
            Interactive::Always if available => Ok(true),
            Interactive::Always => Err(self
                .failed(if stdin_is_ours {
                    "needs to ask a question, but standard input is not a terminal"
                } else {
                    "needs to ask a question, but the terminal belongs to the command that runs"
                })
                .hint("log in with it first, or run this in a terminal")),
        }
    }

    /// The question put to it (KEP-541).
    fn request(&self, interactive: bool) -> Value {
        let mut spec = json!({"interactive": interactive});
        if let Some(cluster) = &self.cluster {
            spec["cluster"] = cluster.clone();
        }
        json!({"kind": "ExecCredential", "apiVersion": self.api_version, "spec": spec})
    }

    fn read(&self, output: &Output) -> Result<Printed> {
        if !output.status.success() {
            return Err(self
                .failed(&format!("ended with {}", output.status))
                .hint("log in again, then retry"));
        }
        let unusable = |why: &str| {
            self.failed(why)
                .hint("update the plugin, or log in again with it")
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let answer: ExecCredential = serde_saphyr::from_str(&text)
            .map_err(|_| unusable("did not print an ExecCredential"))?;
        if answer.kind != "ExecCredential" {
            return Err(unusable("did not print an ExecCredential"));
        }
        if answer.api_version != self.api_version {
            let printed = match answer.api_version.as_str() {
                "" => "no `apiVersion`".to_owned(),
                other => format!("`{}`", printable::short(other, 80)),
            };
            return Err(unusable(&format!(
                "printed {printed}, and the kubeconfig says `{}`",
                self.api_version
            )));
        }
        let Some(status) = answer.status else {
            return Err(unusable("printed no status"));
        };
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let token = some(status.token).map(SecretString::from);
        let certificate = match (
            some(status.client_certificate_data),
            some(status.client_key_data),
        ) {
            (Some(certificate), Some(key)) => Some((certificate, SecretString::from(key))),
            (None, None) => None,
            _ => return Err(unusable("printed a certificate or a key, not both")),
        };
        if token.is_none() && certificate.is_none() {
            return Err(unusable("printed no token and no certificate"));
        }
        let ends = match some(status.expiration_timestamp) {
            Some(text) => Some(
                text.parse()
                    .map_err(|_| unusable("printed an `expirationTimestamp` that is no time"))?,
            ),
            None => None,
        };
        Ok(Printed {
            token,
            certificate,
            ends,
        })
    }

    fn failed(&self, why: &str) -> Error {
        let program = printable::short(&self.program.display().to_string(), 200);
        Error::of(Kind::Unauthorized, "cannot get credentials for the cluster")
            .caused_by(format!("the credential plugin `{program}` {why}"))
    }

    fn not_started(&self, error: &io::Error) -> Error {
        if error.kind() != io::ErrorKind::NotFound {
            return self
                .failed(&format!("cannot be started: {error}"))
                .hint(hints::VIEW);
        }
        let failed = self.failed("is not on this machine");
        match &self.install_hint {
            // The words of whoever made the kubeconfig.
            Some(hint) => failed
                .caused_by("the kubeconfig says:")
                .quoting(hint.lines().take(20)),
            None => failed.hint("install it, or use another kubeconfig"),
        }
    }
}

/// An `ExecCredential` as a plugin prints it, in JSON or YAML.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    status: Option<ExecStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecStatus {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

/// A program as a shell would find it, by its absolute path: a bare name in PATH, a path as it is. What PATH has of the present
/// folder does not count, as in Go.
pub(super) fn found(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        let program = std::path::absolute(program).ok()?;
        return program.exists().then_some(program);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(format!("{}{}", program.display(), extension(program))))
        .find(|candidate| is_program(candidate))
}

/// What programs' names end in on this system, unless the name has it.
fn extension(program: &Path) -> &'static str {
    match program.extension() {
        Some(_) => "",
        None => std::env::consts::EXE_SUFFIX,
    }
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin() -> Plugin {
        Plugin {
            program: "login".into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            api_version: "client.authentication.k8s.io/v1".into(),
            interactive: Interactive::Never,
            install_hint: None,
            cluster: None,
        }
    }

    #[cfg(unix)]
    fn printed(text: &str) -> Result<Printed> {
        use std::os::unix::process::ExitStatusExt;
        plugin().read(&Output {
            status: std::process::ExitStatus::from_raw(0),
            stdout: text.into(),
            stderr: Vec::new(),
        })
    }

    #[cfg(unix)]
    #[test]
    fn answers() {
        let head = r#""apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential""#;
        let with = |status: &str| printed(&format!("{{{head}, \"status\": {status}}}"));
        let good = with(r#"{"token": "t", "expirationTimestamp": "2030-01-01T00:00:00Z"}"#)
            .expect("credentials");
        assert!(good.token.is_some() && good.ends.is_some());
        assert!(
            with(r#"{"clientCertificateData": "c", "clientKeyData": "k"}"#)
                .expect("credentials")
                .certificate
                .is_some()
        );
        for (status, why) in [
            ("null", "no status"),
            ("{}", "no token"),
            (r#"{"token": ""}"#, "no token"),
            (r#"{"clientCertificateData": "c"}"#, "not both"),
            (
                r#"{"token": "t", "expirationTimestamp": "soon"}"#,
                "no time",
            ),
        ] {
            let error = with(status).expect_err(status);
            assert!(error.causes()[0].contains(why), "{status}: {error:?}");
        }
        let other = printed("kind: ExecCredential\napiVersion: client.authentication.k8s.io/v1beta1\nstatus: {token: t}")
            .expect_err("version");
        assert!(other.causes()[0].contains("v1beta1"));
        assert!(printed("hello").is_err());
    }
}

//! kubectl's connection flags.

use std::fmt;
use std::time::Duration;

use clap::Args;

/// kubectl's connection flags, with kubectl's names and precedence.
#[derive(Clone, Default, Args)]
#[command(next_help_heading = "Connection (as kubectl's)")]
pub struct ConnectionFlags {
    /// Use this namespace
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Use this context of the kubeconfig
    #[arg(long, global = true, value_name = "CONTEXT", hide_short_help = true)]
    pub context: Option<String>,
    /// Use this kubeconfig file
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub kubeconfig: Option<String>,
    /// Use this cluster of the kubeconfig
    #[arg(long, global = true, value_name = "CLUSTER", hide_short_help = true)]
    pub cluster: Option<String>,
    /// Use this user of the kubeconfig
    #[arg(long, global = true, value_name = "USER", hide_short_help = true)]
    pub user: Option<String>,
    /// Address of the API server
    #[arg(short, long, global = true, value_name = "URL", hide_short_help = true)]
    pub server: Option<String>,
    /// User name for basic authentication
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub username: Option<String>,
    /// Password for basic authentication (other users of this machine can read it: prefer a kubeconfig)
    #[arg(long, global = true, value_name = "PASSWORD", hide_short_help = true)]
    pub password: Option<String>,
    /// Bearer token for the API server (other users of this machine can read it: prefer a kubeconfig)
    #[arg(long, global = true, value_name = "TOKEN", hide_short_help = true)]
    pub token: Option<String>,
    /// Act as this user
    #[arg(
        long = "as",
        global = true,
        value_name = "USER",
        hide_short_help = true
    )]
    pub as_user: Option<String>,
    /// Act as a member of this group; may be repeated
    #[arg(long, global = true, value_name = "GROUP", hide_short_help = true)]
    pub as_group: Vec<String>,
    /// Act as the user with this UID
    #[arg(long, global = true, value_name = "UID", hide_short_help = true)]
    pub as_uid: Option<String>,
    /// Act as a user with this extra attribute; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", hide_short_help = true)]
    pub as_user_extra: Vec<String>,
    /// File with the certificate authority of the API server
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub certificate_authority: Option<String>,
    /// File with the client certificate
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_certificate: Option<String>,
    /// File with the client certificate's key
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_key: Option<String>,
    /// Do not check the API server's certificate: anybody in between can read and change everything
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = truth, hide_short_help = true)]
    pub insecure_skip_tls_verify: Option<bool>,
    /// Name to expect in the API server's certificate
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub tls_server_name: Option<String>,
    /// Do not compress responses (they never are)
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = truth, hide_short_help = true)]
    pub disable_compression: Option<bool>,
    /// kubectl's cache directory (not used)
    #[arg(long, global = true, value_name = "DIRECTORY", hide_short_help = true)]
    pub cache_dir: Option<String>,
    /// kubectl's preferences file, for its credential plugin policy
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub kuberc: Option<String>,
    /// Give up a request after this time, such as `10s`; `0` waits for ever
    #[arg(long, global = true, value_name = "DURATION", value_parser = request_timeout, hide_short_help = true)]
    pub request_timeout: Option<Duration>,
}

/// As kubectl reads it: a number alone is seconds.
fn request_timeout(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    // Fractions and milliseconds, as Go writes them.
    let of_go = text.parse::<jiff::SignedDuration>().ok();
    match of_go.and_then(|duration| Duration::try_from(duration).ok()) {
        Some(duration) => Ok(duration),
        None => crate::duration::parse(text),
    }
}

/// A truth value as kubectl's flags take it (Go's `strconv.ParseBool`).
fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("write `true` or `false`".into()),
    }
}

impl ConnectionFlags {
    /// The same where an empty value is none, as it is for kubectl.
    #[must_use]
    pub fn without_empty_values(&self) -> Self {
        let mut flags = self.clone();
        for value in [
            &mut flags.namespace,
            &mut flags.context,
            &mut flags.kubeconfig,
            &mut flags.cluster,
            &mut flags.user,
            &mut flags.server,
            &mut flags.username,
            &mut flags.password,
            &mut flags.token,
            &mut flags.as_user,
            &mut flags.as_uid,
            &mut flags.certificate_authority,
            &mut flags.client_certificate,
            &mut flags.client_key,
            &mut flags.tls_server_name,
            &mut flags.kuberc,
        ] {
            value.take_if(|value| value.is_empty());
        }
        flags
    }
}

impl fmt::Debug for ConnectionFlags {
    /// Without what it holds: a token and a password are among it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionFlags").finish_non_exhaustive()
    }
}

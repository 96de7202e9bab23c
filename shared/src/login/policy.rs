//! Which credential plugins may run, as kubectl's preferences say (`kuberc`, KEP-3104): a kubeconfig from somebody else must not
//! start programs that its reader has forbidden.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::kubeconfig::{document, text};
use super::plugin::found;
use crate::error::{Error, Kind, Result};
use crate::printable;

/// The policy for credential plugins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Policy {
    #[default]
    AllowAll,
    DenyAll,
    Allow(Vec<PathBuf>),
}

impl Policy {
    /// Reads the policy of `--kuberc`, of the file that KUBERC names, or of `~/.kube/kuberc`.
    ///
    /// # Errors
    /// A file that was named and cannot be read; a policy that is set wrongly, in any file: it guards something.
    pub(super) fn read(named: Option<&str>) -> Result<Self> {
        let variable = std::env::var("KUBERC").unwrap_or_default();
        if variable == "off" || std::env::var("KUBECTL_KUBERC").is_ok_and(|on| on == "false") {
            return Ok(Self::AllowAll);
        }
        let named = named
            .map(str::to_owned)
            .or(Some(variable))
            .filter(|path| !path.is_empty());
        let usual = || std::env::home_dir().map(|home| home.join(".kube/kuberc"));
        let Some(path) = named.clone().map(PathBuf::from).or_else(usual) else {
            return Ok(Self::AllowAll);
        };
        let shown = printable::short(&path.display().to_string(), 200);
        match std::fs::read(&path) {
            Ok(bytes) => {
                let preferences = text(&bytes)
                    .and_then(|text| document(&text))
                    .map_err(|why| {
                        Error::new(format!("{shown} is not a file of kubectl's preferences"))
                            .caused_by(why)
                    })?;
                Self::of(&preferences).map_err(|why| {
                    Error::new("kubectl's preferences for credential plugins cannot be used")
                        .caused_by(format!("{shown}: {why}"))
                })
            }
            Err(error) if named.is_some() => {
                Err(Error::new(format!("cannot read {shown}")).caused_by(error.to_string()))
            }
            Err(_) => Ok(Self::AllowAll),
        }
    }

    fn of(preferences: &Value) -> Result<Self, String> {
        let list = preferences["credentialPluginAllowlist"].as_array();
        match preferences["credentialPluginPolicy"]
            .as_str()
            .unwrap_or_default()
        {
            "" | "AllowAll" | "DenyAll" if list.is_some() => Err(
                "there is a `credentialPluginAllowlist`, and the policy is not `Allowlist`".into(),
            ),
            "" | "AllowAll" => Ok(Self::AllowAll),
            "DenyAll" => Ok(Self::DenyAll),
            "Allowlist" => {
                let list = list
                    .filter(|list| !list.is_empty())
                    .ok_or("the `credentialPluginAllowlist` is empty")?;
                let named = list
                    .iter()
                    .map(|item| item["name"].as_str().filter(|name| !name.is_empty()));
                let named: Option<Vec<PathBuf>> =
                    named.map(|name| name.map(PathBuf::from)).collect();
                named
                    .map(Self::Allow)
                    .ok_or_else(|| "an item of the `credentialPluginAllowlist` has no name".into())
            }
            other => Err(format!("`{}` is not a policy", printable::short(other, 40))),
        }
    }

    /// The program to run for `program`, if it may be run.
    ///
    /// # Errors
    /// The policy forbids it.
    pub(super) fn admit(&self, program: &Path) -> Result<PathBuf> {
        let allowed = match self {
            Self::AllowAll => return Ok(program.to_owned()),
            Self::DenyAll => None,
            Self::Allow(list) => {
                let clean: PathBuf = program
                    .components()
                    .filter(|part| *part != Component::CurDir)
                    .collect();
                let there = found(program);
                // What is checked is what is run.
                let run = there.clone().unwrap_or_else(|| program.to_owned());
                list.iter()
                    .any(|item| *item == clean || there.is_some() && found(item) == there)
                    .then_some(run)
            }
        };
        allowed.ok_or_else(|| {
            let program = printable::short(&program.display().to_string(), 200);
            Error::of(
                Kind::Unauthorized,
                format!("the credential plugin `{program}` may not run"),
            )
            .caused_by(
                "kubectl's preferences forbid it (`credentialPluginPolicy` in ~/.kube/kuberc)",
            )
            .hint("if you trust it, add it there to `credentialPluginAllowlist`")
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn policies() {
        let of = |value: Value| Policy::of(&value);
        assert_eq!(of(json!({"aliases": []})), Ok(Policy::AllowAll));
        assert_eq!(
            of(json!({"credentialPluginPolicy": "DenyAll"})),
            Ok(Policy::DenyAll)
        );
        let list = json!({"credentialPluginPolicy": "Allowlist", "credentialPluginAllowlist": [{"name": "sh"}]});
        assert_eq!(of(list), Ok(Policy::Allow(vec!["sh".into()])));
        for wrong in [
            json!({"credentialPluginPolicy": "Allowlist"}),
            json!({"credentialPluginPolicy": "Allowlist", "credentialPluginAllowlist": []}),
            json!({"credentialPluginPolicy": "Allowlist", "credentialPluginAllowlist": [{"nam": "x"}]}),
            json!({"credentialPluginPolicy": "allowall"}),
            json!({"credentialPluginAllowlist": [{"name": "x"}]}),
        ] {
            assert!(of(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_admitted() {
        let sh = Path::new("sh");
        assert!(Policy::DenyAll.admit(sh).is_err());
        assert_eq!(Policy::AllowAll.admit(sh).expect("admitted"), sh);
        let by_name = Policy::Allow(vec!["sh".into()]);
        assert!(by_name.admit(sh).expect("admitted").is_absolute());
        assert!(by_name.admit(Path::new("env")).is_err());
        assert!(by_name.admit(Path::new("/nowhere/sh")).is_err());
        let by_path = Policy::Allow(vec![found(sh).expect("a shell")]);
        assert!(by_path.admit(sh).is_ok());
    }
}

//! Which credential plugins may run, as kubectl's preferences say (`kuberc`, KEP-3104): a kubeconfig from somebody else must not
//! start programs that its reader has forbidden.

use std::path::{Path, PathBuf};

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
        if variable == "off" && named.is_some() {
            return Err(Error::usage(
                "`--kuberc` cannot be combined with KUBERC=off",
            ));
        }
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
        let failed = |why: &str| {
            Error::new("cannot read kubectl's preferences").caused_by(format!("{shown}: {why}"))
        };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if named.is_some() => return Err(failed(&error.to_string())),
            Err(_) => return Ok(Self::AllowAll),
        };
        match preferences(&text(&bytes).map_err(|why| failed(&why))?) {
            Some(preferences) => Self::of(&preferences).map_err(|why| failed(&why)),
            None if named.is_some() => Err(failed("there are no preferences in it")),
            None => Ok(Self::AllowAll),
        }
    }

    fn of(preferences: &Value) -> Result<Self, String> {
        let (list, policy) = (
            &preferences["credentialPluginAllowlist"],
            &preferences["credentialPluginPolicy"],
        );
        if !(list.is_null() || list.is_array()) || !(policy.is_null() || policy.is_string()) {
            return Err("the policy for credential plugins is not of the right form".into());
        }
        let list = list.as_array();
        match policy.as_str().unwrap_or_default() {
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

    /// Whether a program may be run that the kubeconfig names so and that is found there.
    ///
    /// # Errors
    /// The policy forbids it.
    pub(super) fn admit(&self, named: &Path, there: &Path) -> Result<()> {
        let is_allowed = match self {
            Self::AllowAll => true,
            Self::DenyAll => false,
            Self::Allow(list) => list.iter().any(|item| {
                item == named || item == there || found(item).as_deref() == Some(there)
            }),
        };
        if is_allowed {
            return Ok(());
        }
        let program = printable::short(&named.display().to_string(), 200);
        Err(Error::of(
            Kind::Unauthorized,
            format!("the credential plugin `{program}` may not run"),
        )
        .caused_by("kubectl's preferences forbid it (`credentialPluginPolicy` in ~/.kube/kuberc)")
        .hint("if you trust it, add it there to `credentialPluginAllowlist`"))
    }
}

/// The first of a file's documents that kubectl would take for preferences.
fn preferences(text: &str) -> Option<Value> {
    let documents = text.split("\n---").map(document);
    documents.filter_map(Result::ok).find(|found| {
        found["kind"] == "Preference"
            && matches!(
                found["apiVersion"].as_str(),
                Some("kubectl.config.k8s.io/v1beta1" | "kubectl.config.k8s.io/v1alpha1")
            )
    })
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

    #[test]
    fn the_first_preferences_of_a_file_count() {
        let of =
            |text: &str| preferences(text).map(|found| found["credentialPluginPolicy"].clone());
        let known = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\ncredentialPluginPolicy: DenyAll\n";
        let unknown = "apiVersion: kubectl.config.k8s.io/v9\nkind: Preference\n";
        assert_eq!(of(known), Some(json!("DenyAll")));
        assert_eq!(
            of(&format!("{unknown}---\n{known}")),
            Some(json!("DenyAll"))
        );
        assert_eq!(of(&format!("a: [\n---\n{known}")), Some(json!("DenyAll")));
        assert_eq!(of(unknown), None);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_admitted() {
        let sh = Path::new("sh");
        let there = found(sh).expect("a shell");
        let admits = |policy: Policy, named: &str, there: &Path| {
            policy.admit(Path::new(named), there).is_ok()
        };
        assert!(!admits(Policy::DenyAll, "sh", &there));
        assert!(admits(Policy::AllowAll, "sh", &there));
        assert!(admits(Policy::Allow(vec!["sh".into()]), "sh", &there));
        assert!(admits(Policy::Allow(vec![there.clone()]), "sh", &there));
        assert!(admits(
            Policy::Allow(vec!["sh".into()]),
            &there.display().to_string(),
            &there
        ));
        assert!(!admits(Policy::Allow(vec!["env".into()]), "sh", &there));
        // Beside the kubeconfig there may be a program of that name.
        let other = Path::new("/nowhere/sh");
        assert!(!admits(
            Policy::Allow(vec!["sh".into()]),
            "/nowhere/sh",
            other
        ));
    }
}

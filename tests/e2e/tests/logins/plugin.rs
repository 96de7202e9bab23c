//! A credential plugin of a test: a script that logs in at the issuer and counts its starts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use e2e::{Person, Stage};
use tempfile::TempDir;
use test_cluster::{Login, Realm};

use crate::logins::{grant, kubeconfig};

/// id-tokens of 30 s.
const REALM: Realm = Realm::Short;

/// When it was started, in seconds.
const COUNT: &str = "date +%s.%N >> FOLDER/starts\n";

/// Logs in with the password, which is the name, and prints the id-token.
const LOG_IN: &str = r#"
end=$(date -u -d '+30 seconds' +%FT%TZ)
answer=$(curl -sS --fail -d grant_type=password -d scope=openid -d client_id=onyxia-k8s-apiserver \
    -d username=NAME -d password=NAME ISSUER/protocol/openid-connect/token) || exit 1
token=$(printf %s "$answer" | sed -n 's/.*"id_token":"\([^"]*\)".*/\1/p')
printf '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "%s"END}}' "$token"
"#;

/// Somebody who logs in by a plugin.
pub(super) struct ByPlugin {
    pub(super) person: Person,
    folder: TempDir,
}

/// What is special in a plugin.
pub(super) struct Special {
    /// What the script does before it logs in; `FOLDER` stands for the folder of the test.
    pub(super) first: &'static str,
    /// Whether it tells when its token ends.
    pub(super) tells_end: bool,
    /// More fields of `exec` in the kubeconfig, one a line.
    pub(super) fields: &'static str,
}

impl Default for Special {
    fn default() -> Self {
        Self {
            first: "",
            tells_end: true,
            fields: "interactiveMode: Never",
        }
    }
}

impl ByPlugin {
    /// Somebody new, who may do everything in this namespace.
    pub(super) fn new(stage: &mut Stage, name: &str, namespace: &str, special: &Special) -> Self {
        let mut person = stage.person_by(name, Login::Onyxia(REALM));
        grant(stage, &format!("--user=oidc-{}", person.name), namespace);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sign-in");
        let end = r#", "expirationTimestamp": "'"$end"'""#;
        let script = format!("#!/bin/sh\n{COUNT}{}\n{LOG_IN}", special.first)
            .replace("FOLDER", &folder.path().display().to_string())
            .replace("NAME", &person.name)
            .replace("ISSUER", &REALM.url())
            .replace("END", if special.tells_end { end } else { "" });
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let fields = special.fields.replace('\n', "\n      ");
        let user = format!(
            "exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: ./sign-in\n      {fields}"
        );
        let kubeconfig = folder.path().join("config");
        fs::write(
            &kubeconfig,
            kubeconfig::with_user(&person, namespace, &user),
        )
        .unwrap();
        person.kubeconfig = kubeconfig;
        Self { person, folder }
    }

    /// A file of the plugin's.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// When the plugin was started since this was last asked, in seconds.
    pub(super) fn starts(&self) -> Vec<f64> {
        let path = self.file("starts");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        let lines = text.lines();
        lines.map(|line| line.parse().unwrap()).collect()
    }
}

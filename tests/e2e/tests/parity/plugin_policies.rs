//! K10: which credential plugins may run, by kubectl's preferences (`kuberc`, KEP-3104).

use crate::parity::attempt::Attempt;
use crate::parity::plugin_credentials::{answering, exec};
use crate::parity::variant::{Variant, refused, works};

const CASE: &str = "K10 kuberc";
const HEAD: &str = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n";

pub(super) fn variants() -> Vec<Variant> {
    vec![
        works(CASE, "nothing about plugins", |a| {
            usual(a, "aliases: []\ndefaults: []\n")
        }),
        works(CASE, "AllowAll", |a| {
            usual(a, "credentialPluginPolicy: AllowAll\n")
        }),
        works(CASE, "allowed by name, found on PATH", |a| {
            usual(a, &allowing("signin")).env("PATH", "FOLDER:/usr/bin:/bin")
        }),
        works(CASE, "allowed by path, of several", |a| {
            let path = a.path("signin");
            usual(a, &allowing(&format!("other}}, {{name: {path}")))
        }),
        works(CASE, "KUBERC=off", |a| {
            usual(a, "credentialPluginPolicy: DenyAll\n").env("KUBERC", "off")
        }),
        works(CASE, "KUBERC names another file", |a| {
            usual(a, "credentialPluginPolicy: DenyAll\n")
                .file("mine", HEAD)
                .env("KUBERC", "FOLDER/mine")
        }),
        works(CASE, "DenyAll, and no plugin is needed", |a| {
            let preferences = format!("{HEAD}credentialPluginPolicy: DenyAll\n");
            a.file("home/.kube/kuberc", preferences).usual()
        }),
        works(CASE, "--kuberc over ~/.kube/kuberc", |a| {
            usual(a, "credentialPluginPolicy: DenyAll\n")
                .file("mine", HEAD)
                .args(&["--kuberc=FOLDER/mine"])
        }),
        refused(CASE, "DenyAll", |a| {
            usual(a, "credentialPluginPolicy: DenyAll\n").runs(0)
        }),
        refused(CASE, "DenyAll in the file of KUBERC", |a| {
            let preferences = format!("{HEAD}credentialPluginPolicy: DenyAll\n");
            usual(a, "")
                .file("mine", preferences)
                .env("KUBERC", "FOLDER/mine")
                .runs(0)
        }),
        refused(CASE, "another one is allowed", |a| {
            usual(a, &allowing("/usr/bin/signin")).runs(0)
        }),
        refused(CASE, "allowed by name, but not on PATH", |a| {
            usual(a, &allowing("signin"))
                .env("PATH", "/usr/bin:/bin")
                .runs(0)
        }),
        refused(CASE, "Allowlist without a list", |a| {
            usual(a, "credentialPluginPolicy: Allowlist\n").runs(0)
        }),
        refused(CASE, "a list without its policy", |a| {
            usual(a, "credentialPluginAllowlist: [{name: x}]\n").runs(0)
        }),
        refused(CASE, "an unknown policy", |a| {
            usual(a, "credentialPluginPolicy: denyall\n").runs(0)
        }),
        refused(CASE, "a path that could be shorter", |a| {
            usual(a, &allowing("/bin/../bin/signin")).runs(0)
        }),
        refused(CASE, "KUBERC names a file that is missing", |a| {
            usual(a, "").env("KUBERC", "FOLDER/missing").runs(0)
        }),
    ]
}

/// The kubeconfig with a plugin and these preferences.
fn usual<'g>(a: Attempt<'g>, preferences: &str) -> Attempt<'g> {
    answering(a, "signin")
        .file("home/.kube/kuberc", format!("{HEAD}{preferences}"))
        .user(&exec("./signin", ""))
        .runs(1)
}

/// Only this plugin may run.
fn allowing(name: &str) -> String {
    format!("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{{name: {name}}}]\n")
}

//! K2: several files in KUBECONFIG, and where files are looked for.

use crate::parity::attempt::Attempt;
use crate::parity::ground::indented;
use crate::parity::variant::{Variant, refused, works};

const CASE: &str = "K2 several files";
/// What `kubectl config unset` leaves.
const NOTHING: &str =
    "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\ncurrent-context: \"\"\nusers: []\n";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = first_files();
    all.extend(same_names());
    all.extend(places());
    all
}

/// A first file of which nothing is needed.
fn first_files() -> Vec<Variant> {
    vec![
        works(CASE, "first: current-context is empty", |a| {
            before(a, NOTHING)
        }),
        works(CASE, "first: lists are null", |a| {
            before(
                a,
                "kind: Config\napiVersion: v1\nclusters: null\ncontexts: ~\nusers:\ncurrent-context: null\npreferences: null\n",
            )
        }),
        works(CASE, "first: 0 bytes", |a| before(a, "")),
        works(CASE, "first: a comment", |a| before(a, "# see the wiki\n")),
        works(CASE, "first: neither kind nor apiVersion", |a| {
            before(a, "current-context: \"\"\n")
        }),
        works(CASE, "first: {}", |a| before(a, "{}\n")),
        works(CASE, "first: does not exist", |a| {
            a.usual().files(&["missing", "config"])
        }),
        works(CASE, "empty items between colons, a file twice", |a| {
            let config = a.path("config");
            a.usual()
                .env("KUBECONFIG", &format!(":{config}::{config}:"))
        }),
        refused(CASE, "first: not YAML", |a| {
            before(a, "current-context: [\n")
        }),
        refused(CASE, "last: not YAML", |a| {
            a.usual()
                .file("last", "users: {\n")
                .files(&["config", "last"])
        }),
        refused(CASE, "first: another kind", |a| {
            before(a, "apiVersion: v1\nkind: Secret\n")
        }),
        refused(CASE, "first: another version", |a| {
            before(a, "apiVersion: v2\nkind: Config\n")
        }),
        refused(CASE, "first: a list", |a| before(a, "- a\n- b\n")),
        refused(CASE, "a folder", |a| {
            a.usual().file("folder/x", "").files(&["folder", "config"])
        }),
        refused(CASE, "only one, which does not exist", |a| {
            let config = a.g.config(&a.g.cluster(), &a.g.token_user());
            a.file("home/.kube/config", config).files(&["missing"])
        }),
    ]
}

/// The same name in two files: the first file's entry counts, whole.
fn same_names() -> Vec<Variant> {
    vec![
        works(CASE, "same user in both, the first may", |a| {
            let second = a.g.config(&a.g.cluster(), &a.g.stranger_user());
            a.usual()
                .file("second", second)
                .files(&["config", "second"])
        }),
        refused(CASE, "same user in both, the second may", |a| {
            let first = a.g.config(&a.g.cluster(), &a.g.stranger_user());
            before(a, &first)
        }),
        refused(
            CASE,
            "same user in both, the first without credential",
            |a| before(a, "users: [{name: me, user: {username: \"\"}}]\n"),
        ),
        refused(
            CASE,
            "same cluster in both, the first with a server only",
            |a| {
                let server = a.g.server.clone();
                before(
                    a,
                    &format!("clusters: [{{name: here, cluster: {{server: \"{server}\"}}}}]\n"),
                )
            },
        ),
        refused(
            CASE,
            "same context in both, the first without namespace",
            |a| {
                before(
                    a,
                    "contexts: [{name: way, context: {cluster: here, user: me}}]\n",
                )
            },
        ),
        works(CASE, "current-context in both, the first counts", |a| {
            let second = "current-context: other\ncontexts: [{name: other, context: {cluster: there, user: you}}]\n";
            a.usual()
                .file("second", second)
                .files(&["config", "second"])
        }),
        refused(CASE, "first: current-context that no file has", |a| {
            before(a, "current-context: other\n")
        }),
        works(CASE, "first: only current-context", |a| {
            let second = a.g.config(&a.g.cluster(), &a.g.token_user());
            let second = second.replace("current-context: way", "current-context: other");
            a.file("first", "current-context: way\n")
                .file("second", second)
                .files(&["first", "second"])
        }),
        works(CASE, "context, cluster and user in a file each", |a| {
            let context = format!(
                "contexts:\n- name: way\n  context:\n{}",
                indented(&a.g.context(), 4)
            );
            let cluster = format!(
                "clusters:\n- name: here\n  cluster:\n{}",
                indented(&a.g.cluster(), 4)
            );
            let user = format!(
                "users:\n- name: me\n  user:\n{}",
                indented(&a.g.token_user(), 4)
            );
            a.file("user", user)
                .file("cluster", cluster)
                .file("context", context + "current-context: way\n")
                .files(&["user", "cluster", "context"])
        }),
        refused(CASE, "--kubeconfig is not merged with KUBECONFIG", |a| {
            let users = "users: [{name: me, user: {}}]\n";
            a.usual()
                .file("flag", users)
                .args(&["--kubeconfig", "FOLDER/flag"])
        }),
    ]
}

/// Where files are, and what paths in them are relative to.
fn places() -> Vec<Variant> {
    vec![
        works(CASE, "paths in each are relative to its folder", |a| {
            let cluster = format!(
                "clusters:\n- name: here\n  cluster:\n    server: {}\n    certificate-authority: ca/ca.crt\n",
                a.g.server
            );
            let user = "users:\n- name: me\n  user:\n    client-certificate: ./me.crt\n    client-key: ../keys/me.key\n";
            let context = format!(
                "current-context: way\ncontexts:\n- name: way\n  context:\n{}",
                indented(&a.g.context(), 4)
            );
            let (ca, me) = (a.g.ca.clone(), a.g.alice.clone());
            a.file("one/clusters", cluster)
                .file("one/ca/ca.crt", ca)
                .file("two/users", user)
                .file("two/me.crt", me.certificate)
                .file("keys/me.key", me.key)
                .file("contexts", context)
                .files(&["one/clusters", "two/users", "contexts"])
                .within("two")
        }),
        works(CASE, "KUBECONFIG is relative", |a| {
            a.usual()
                .file("deep/x", "")
                .within("deep")
                .env("KUBECONFIG", "../config")
        }),
        works(CASE, "a link: paths are relative to the link", |a| {
            linked(a, "linked/ca.crt")
        }),
        refused(CASE, "a link: paths are not relative to the file", |a| {
            linked(a, "real/ca.crt")
        }),
        works(CASE, "KUBECONFIG is empty", |a| {
            let config = a.g.config(&a.g.cluster(), &a.g.token_user());
            a.file("home/.kube/config", config).env("KUBECONFIG", "")
        }),
        works(CASE, "HOME/.kube/config", |a| {
            let config = a.g.config(&a.g.cluster(), &a.g.token_user());
            a.file("home/.kube/config", config)
        }),
        refused(CASE, "KUBECONFIG hides HOME/.kube/config", |a| {
            let config = a.g.config(&a.g.cluster(), &a.g.token_user());
            a.file("home/.kube/config", config).kubeconfig(NOTHING)
        }),
        works(CASE, "--kubeconfig over KUBECONFIG", |a| {
            let config = a.g.config(&a.g.cluster(), &a.g.token_user());
            a.file("flag", config)
                .kubeconfig(NOTHING)
                .args(&["--kubeconfig", "flag"])
        }),
        refused(CASE, "--kubeconfig does not exist", |a| {
            a.usual().args(&["--kubeconfig=missing"])
        }),
        works(CASE, "--kubeconfig is empty", |a| {
            a.usual().args(&["--kubeconfig="])
        }),
        refused(CASE, "--kubeconfig is no list", |a| {
            let config = a.g.config(&a.g.cluster(), &a.g.token_user());
            a.file("flag", config)
                .args(&["--kubeconfig=FOLDER/missing:FOLDER/flag"])
        }),
        refused(CASE, "no kubeconfig at all", nothing),
        works(CASE, "a pipe", |a| {
            let config = a.path("config");
            a.usual().env("KUBECONFIG", "").mounts(&format!(
                "rm -f FOLDER/pipe && mkfifo FOLDER/pipe && {{ cat {config} > FOLDER/pipe & }} && export KUBECONFIG=FOLDER/pipe"
            ))
        }),
    ]
}

/// No kubeconfig.
fn nothing(a: Attempt) -> Attempt {
    a.in_namespace()
}

/// The usual file after this one.
fn before<'g>(a: Attempt<'g>, first: &str) -> Attempt<'g> {
    a.usual().file("first", first).files(&["first", "config"])
}

/// A link to a kubeconfig in another folder, with the CA in this file.
fn linked<'g>(a: Attempt<'g>, ca_file: &str) -> Attempt<'g> {
    let cluster = format!("server: {}\ncertificate-authority: ca.crt", a.g.server);
    let text = a.g.config(&cluster, &a.g.token_user());
    let ca = a.g.ca.clone();
    a.file("real/config", text)
        .link("linked/config", "../real/config")
        .file(ca_file, ca)
        .files(&["linked/config"])
}

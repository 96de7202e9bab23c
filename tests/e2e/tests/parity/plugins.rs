//! K10: credential plugins, how they are found, started and counted.

use crate::parity::attempt::Attempt;
use crate::parity::plugin_credentials::{answering, credential, exec};
use crate::parity::variant::{Variant, refused, works};

const CASE: &str = "K10 plugin";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = found();
    all.extend(given());
    all.extend(ended());
    all
}

fn found() -> Vec<Variant> {
    vec![
        works(CASE, "relative, from another folder", |a| {
            answering(a, "bin/signin")
                .file("x/y", "")
                .within("x")
                .user(&exec("./bin/signin", ""))
                .runs(1)
        }),
        works(CASE, "relative, upwards", |a| {
            let text = a.g.config(&a.g.cluster(), &exec("../bin/signin", ""));
            answering(a, "bin/signin")
                .file("deep/config", text)
                .files(&["deep/config"])
                .runs(1)
        }),
        works(CASE, "absolute", |a| {
            let user = exec(&a.path("signin"), "");
            answering(a, "signin").user(&user).runs(1)
        }),
        works(CASE, "on PATH", |a| {
            answering(a, "bin/signin")
                .user(&exec("signin", ""))
                .env("PATH", "FOLDER/bin:/usr/bin:/bin")
                .runs(1)
        }),
        works(CASE, "with blanks in its name", |a| {
            answering(a, "my tools/log in")
                .user(&exec("\"./my tools/log in\"", ""))
                .runs(1)
        }),
        works(CASE, "sh -c", |a| {
            let line = "args: [-c, 'echo run >> FOLDER/runs; cat FOLDER/credential']";
            let line = line.replace("FOLDER", &a.path(""));
            let answer = credential(&a, "v1");
            a.file("credential", answer)
                .user(&exec("sh", &line))
                .runs(1)
        }),
        refused(CASE, "beside the kubeconfig, without ./", |a| {
            answering(a, "signin").user(&exec("signin", ""))
        }),
        refused(CASE, "not there, with installHint", |a| {
            a.user(&exec(
                "no-such-signin",
                "installHint: \"get it: make signin\\n\\e[31m\"",
            ))
        }),
        refused(CASE, "not executable", |a| {
            a.file("signin", "#!/bin/sh\n").user(&exec("./signin", ""))
        }),
        refused(CASE, "command missing", |a| {
            a.user("exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}")
        }),
        refused(CASE, "command with its arguments in one text", |a| {
            answering(a, "signin").user(&exec("\"./signin --now\"", ""))
        }),
    ]
}

/// What a plugin is given.
#[expect(clippy::too_many_lines, reason = "a table")]
fn given() -> Vec<Variant> {
    vec![
        works(CASE, "args: text that looks like numbers, and null", |a| {
            checking(a, "[ \"$*\" = '8080 -- a b ' ] && [ $# = 4 ]")
                .user(&exec("./signin", "args: [\"8080\", --, a b, null]"))
                .runs(1)
        }),
        refused(CASE, "args: a number", |a| {
            answering(a, "signin").user(&exec("./signin", "args: [--port, 8080]"))
        }),
        works(
            CASE,
            "env: over the environment, with null and empty",
            |a| {
                checking(a, "[ \"$A\" = new ] && [ \"$B\" = kept ] && [ \"${C-none}\" = '' ] && [ \"${D-none}\" = '' ]")
                .user(&exec("./signin", "env: [{name: A, value: new}, {name: C, value: null}, {name: D}]"))
                .env("A", "old")
                .env("B", "kept")
                .env("C", "set")
                .runs(1)
            },
        ),
        works(CASE, "env: null, args: null", |a| {
            answering(a, "signin")
                .user(&exec("./signin", "env: null\nargs:"))
                .runs(1)
        }),
        refused(CASE, "env: without name", |a| {
            answering(a, "signin").user(&exec("./signin", "env: [{value: x}]"))
        }),
        works(CASE, "not told about the cluster", |a| {
            checking(a, "case \"$KUBERNETES_EXEC_INFO\" in *'\"cluster\"'*|'') false;; *'\"interactive\":false'*) ;; *) false;; esac")
                .user(&exec("./signin", ""))
                .runs(1)
        }),
        works(
            CASE,
            "provideClusterInfo: server, CA and the extension",
            |a| {
                let server = a.g.server.clone();
                let cluster = a.g.cluster()
                    + "\nextensions: [{name: client.authentication.k8s.io/exec, extension: {audience: me}}]";
                let test = format!(
                    "for word in '\"server\":\"{server}\"' '\"certificate-authority-data\":\"LS0t' '\"config\":{{\"audience\":\"me\"}}'; do case \"$KUBERNETES_EXEC_INFO\" in *\"$word\"*) ;; *) echo \"no $word\" >&2; exit 1;; esac; done"
                );
                checking(a, &test)
                    .config(&cluster, &exec("./signin", "provideClusterInfo: true"))
                    .runs(1)
            },
        ),
        works(
            CASE,
            "provideClusterInfo: the CA out of a file, the proxy, the name",
            |a| {
                let relay = crate::parity::relay::Relay::http(a.g.api);
                let (ca, server) = (a.g.ca.clone(), a.g.server.clone());
                let cluster = format!(
                    "server: {server}\ncertificate-authority: ca.crt\ntls-server-name: kubernetes\nproxy-url: http://127.0.0.1:{}",
                    relay.port()
                );
                let test = "for word in '\"certificate-authority-data\":\"LS0t' '\"tls-server-name\":\"kubernetes\"' '\"proxy-url\":\"http://127.0.0.1:'; do case \"$KUBERNETES_EXEC_INFO\" in *\"$word\"*) ;; *) echo \"no $word\" >&2; exit 1;; esac; done";
                checking(a, test)
                    .file("ca.crt", ca)
                    .config(&cluster, &exec("./signin", "provideClusterInfo: true"))
                    .through(relay)
                    .runs(1)
            },
        ),
        works(CASE, "nothing on standard input", |a| {
            checking(a, "! read -r line")
                .user(&exec("./signin", ""))
                .runs(1)
        }),
        works(CASE, "in the folder that one is in", |a| {
            checking(a, "[ \"$PWD\" = 'FOLDER/x' ]")
                .file("x/y", "")
                .within("x")
                .user(&exec("./signin", ""))
                .runs(1)
        }),
        refused(CASE, "interactiveMode: Always without a terminal", |a| {
            answering(a, "signin")
                .user(&exec("./signin", "").replace("IfAvailable", "Always"))
                .runs(0)
        }),
        refused(CASE, "interactiveMode: missing in v1", |a| {
            answering(a, "signin")
                .user(&exec("./signin", "").replace("interactiveMode: IfAvailable", ""))
                .runs(0)
        }),
        refused(CASE, "interactiveMode: unknown", |a| {
            answering(a, "signin")
                .user(&exec("./signin", "").replace("IfAvailable", "Sometimes"))
                .runs(0)
        }),
        works(CASE, "behind --token it is not run", |a| {
            let flag = format!("--token={}", a.g.token);
            answering(a, "signin")
                .user(&exec("./signin", ""))
                .args(&[&flag])
                .runs(0)
        }),
        works(CASE, "beside a certificate it is not run", |a| {
            let user = format!("{}\n{}", a.g.alice.user(), exec("./signin", ""));
            answering(a, "signin").user(&user).runs(0)
        }),
        works(CASE, "without TLS it is not run", |a| {
            let server = format!("server: {}", a.g.plain());
            answering(a, "signin")
                .config(&server, &exec("./signin", ""))
                .runs(0)
        }),
    ]
}

/// How a plugin ends.
fn ended() -> Vec<Variant> {
    vec![
        works(CASE, "it says much on standard error", |a| {
            checking(a, "seq 20000 >&2")
                .user(&exec("./signin", ""))
                .runs(1)
        }),
        works(CASE, "a child of it lives on", |a| {
            checking(a, "sleep 3 >/dev/null 2>&1 &")
                .user(&exec("./signin", ""))
                .runs(1)
        }),
        refused(CASE, "it fails", |a| {
            a.program("signin", "COUNT\necho 'no session' >&2\nexit 3")
                .user(&exec("./signin", ""))
                .runs(1)
        }),
        refused(CASE, "it fails after its answer", |a| {
            a.file("exit", "").user(&exec("./signin", "")).program(
                "signin",
                "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"a\"}}'\nexit 1",
            )
        }),
        refused(CASE, "a signal ends it", |a| {
            a.program("signin", "kill -9 $$")
                .user(&exec("./signin", ""))
        }),
    ]
}

/// A plugin that first makes sure of this.
fn checking<'g>(a: Attempt<'g>, test: &str) -> Attempt<'g> {
    let answer = credential(&a, "v1");
    a.file("credential", answer).program(
        "signin",
        &format!("COUNT\n{{ {test}\n}} || exit 9\ncat 'FOLDER/credential'"),
    )
}

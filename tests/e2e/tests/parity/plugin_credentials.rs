//! K10: what credential plugins answer.

use serde_json::{Value, json};

use crate::parity::attempt::Attempt;
use crate::parity::ground::{Pair, indented};
use crate::parity::variant::{Variant, refused, works};

const CASE: &str = "K10 answer";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = versions();
    all.extend(contents());
    all
}

fn versions() -> Vec<Variant> {
    vec![
        works(CASE, "v1", |a| answers_with(a, "v1", "v1")),
        works(CASE, "v1beta1", |a| answers_with(a, "v1beta1", "v1beta1")),
        works(CASE, "v1beta1 without interactiveMode", |a| {
            let answer = credential(&a, "v1beta1");
            let user = exec("./signin", "").replace("/v1", "/v1beta1");
            let user = user.replace("interactiveMode: IfAvailable", "");
            says(a, &answer).user(&user).runs(1)
        }),
        refused(CASE, "v1 asked for, v1beta1 answered", |a| {
            answers_with(a, "v1", "v1beta1")
        }),
        refused(CASE, "v1beta1 asked for, v1 answered", |a| {
            answers_with(a, "v1beta1", "v1")
        }),
        refused(CASE, "v1alpha1 asked for", |a| {
            answers_with(a, "v1alpha1", "v1alpha1").runs(0)
        }),
        refused(CASE, "apiVersion missing in the kubeconfig", |a| {
            let answer = credential(&a, "v1");
            let user = exec("./signin", "");
            let user = user.replace("apiVersion: client.authentication.k8s.io/v1", "");
            says(a, &answer).user(&user).runs(0)
        }),
        refused(CASE, "apiVersion missing in the answer", |a| {
            let answer = credential(&a, "v1").replace("client.authentication.k8s.io/v1", "");
            says(a, &answer).user(&exec("./signin", "")).runs(1)
        }),
        refused(CASE, "another kind", |a| {
            let answer = credential(&a, "v1").replace("ExecCredential", "TokenReview");
            says(a, &answer).user(&exec("./signin", "")).runs(1)
        }),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn contents() -> Vec<Variant> {
    vec![
        works(CASE, "YAML", |a| {
            let answer = format!(
                "apiVersion: client.authentication.k8s.io/v1\nkind: ExecCredential\nstatus:\n  token: {}\n",
                a.g.token
            );
            says(a, &answer).user(&exec("./signin", "")).runs(1)
        }),
        works(CASE, "unknown fields, and the spec again", |a| {
            let mut answer = value(&a, "v1");
            answer["spec"] = json!({"interactive": false});
            answer["status"]["clientId"] = json!(7);
            answer["metadata"] = json!({"name": "x"});
            says(a, &answer.to_string())
                .user(&exec("./signin", ""))
                .runs(1)
        }),
        works(CASE, "valid until tomorrow", |a| {
            until(a, "2999-01-01T00:00:00Z").runs(1)
        }),
        works(CASE, "valid until null", |a| {
            let mut answer = value(&a, "v1");
            answer["status"]["expirationTimestamp"] = Value::Null;
            says(a, &answer.to_string())
                .user(&exec("./signin", ""))
                .runs(1)
        }),
        works(CASE, "a time with an offset and fractions", |a| {
            until(a, "2999-01-01T00:00:00.123+02:00").runs(1)
        }),
        works(CASE, "a certificate", |a| {
            let pair = a.g.alice.clone();
            with_pair(a, &pair).runs(1)
        }),
        works(CASE, "a certificate of version 1 with an RSA key", |a| {
            let pair = a.g.certificates.v1_rsa.clone();
            with_pair(a, &pair).runs(1)
        }),
        works(CASE, "a certificate and a token, which is another's", |a| {
            let pair = a.g.alice.clone();
            let mut answer = value(&a, "v1");
            answer["status"] = json!({"token": a.g.stranger_token, "clientCertificateData": pair.certificate, "clientKeyData": pair.key});
            says(a, &answer.to_string())
                .user(&exec("./signin", ""))
                .runs(1)
        }),
        works(CASE, "over a token in the kubeconfig it is not run", |a| {
            let user = format!("{}\n{}", a.g.token_user(), exec("./signin", ""));
            says(a, "{}").user(&user).runs(0)
        }),
        works(CASE, "over since yesterday", |a| {
            until(a, "2001-01-01T00:00:00Z")
        }),
        works(CASE, "line ends of Windows", |a| {
            let answer = serde_json::to_string_pretty(&value(&a, "v1")).unwrap();
            says(a, &answer.replace('\n', "\r\n")).user(&exec("./signin", ""))
        }),
        works(CASE, "a mark of UTF-8 before it", |a| {
            let answer = format!("\u{feff}{}", credential(&a, "v1"));
            says(a, &answer).user(&exec("./signin", ""))
        }),
        refused(CASE, "the API server does not take it", |a| {
            let mut answer = value(&a, "v1");
            answer["status"]["token"] = json!("abc.def.ghi");
            says(a, &answer.to_string())
                .user(&exec("./signin", ""))
                .runs(2)
        }),
        refused(CASE, "a certificate without key", |a| {
            let mut answer = value(&a, "v1");
            answer["status"]["clientCertificateData"] = json!(a.g.alice.certificate);
            says(a, &answer.to_string())
                .user(&exec("./signin", ""))
                .runs(1)
        }),
        refused(CASE, "a time that is none", |a| {
            until(a, "tomorrow").runs(1)
        }),
        refused(CASE, "no status", |a| {
            let mut answer = value(&a, "v1");
            answer.as_object_mut().unwrap().remove("status");
            says(a, &answer.to_string())
                .user(&exec("./signin", ""))
                .runs(1)
        }),
        refused(CASE, "an empty token", |a| {
            let mut answer = value(&a, "v1");
            answer["status"] = json!({"token": ""});
            says(a, &answer.to_string())
                .user(&exec("./signin", ""))
                .runs(1)
        }),
        refused(CASE, "a token with a line end", |a| {
            let mut answer = value(&a, "v1");
            answer["status"]["token"] = json!(format!("{}\n", a.g.token));
            says(a, &answer.to_string()).user(&exec("./signin", ""))
        }),
        refused(CASE, "the token alone", |a| {
            let token = a.g.token.clone();
            says(a, &token).user(&exec("./signin", "")).runs(1)
        }),
        refused(CASE, "words before the answer", |a| {
            let answer = format!("Welcome!\n{}", credential(&a, "v1"));
            says(a, &answer).user(&exec("./signin", "")).runs(1)
        }),
        refused(CASE, "nothing", |a| {
            says(a, "").user(&exec("./signin", "")).runs(1)
        }),
    ]
}

/// A user with this plugin and more lines.
pub(super) fn exec(command: &str, more: &str) -> String {
    format!(
        "exec:\n  apiVersion: client.authentication.k8s.io/v1\n  interactiveMode: IfAvailable\n  command: {command}\n{}",
        indented(more, 2)
    )
}

fn value(a: &Attempt, version: &str) -> Value {
    json!({
        "apiVersion": format!("client.authentication.k8s.io/{version}"),
        "kind": "ExecCredential",
        "status": {"token": a.g.token},
    })
}

/// What a plugin answers in this version.
pub(super) fn credential(a: &Attempt, version: &str) -> String {
    value(a, version).to_string()
}

/// A plugin of this name that answers as it should.
pub(super) fn answering<'g>(a: Attempt<'g>, name: &str) -> Attempt<'g> {
    let answer = credential(&a, "v1");
    a.file("credential", answer)
        .program(name, "COUNT\n/bin/cat 'FOLDER/credential'")
}

/// A plugin `signin` that answers this.
fn says<'g>(a: Attempt<'g>, answer: &str) -> Attempt<'g> {
    a.file("credential", answer)
        .program("signin", "COUNT\n/bin/cat 'FOLDER/credential'")
}

fn answers_with<'g>(a: Attempt<'g>, asked: &str, answered: &str) -> Attempt<'g> {
    let answer = credential(&a, answered);
    let user = exec("./signin", "").replace("/v1", &format!("/{asked}"));
    says(a, &answer).user(&user).runs(1)
}

fn until<'g>(a: Attempt<'g>, time: &str) -> Attempt<'g> {
    let mut answer = value(&a, "v1");
    answer["status"]["expirationTimestamp"] = json!(time);
    says(a, &answer.to_string()).user(&exec("./signin", ""))
}

fn with_pair<'g>(a: Attempt<'g>, pair: &Pair) -> Attempt<'g> {
    let mut answer = value(&a, "v1");
    answer["status"] =
        json!({"clientCertificateData": pair.certificate, "clientKeyData": pair.key});
    says(a, &answer.to_string()).user(&exec("./signin", ""))
}

//! K14: in a pod, with its ServiceAccount and without a kubeconfig.

use crate::parity::attempt::Attempt;
use crate::parity::relay::Relay;
use crate::parity::variant::Exception::{FlagCounts, Harmless};
use crate::parity::variant::{Variant, kinder, refused, stricter, works};

const CASE: &str = "K14 pod";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = accounts();
    all.extend(kubeconfigs());
    all.extend(with_flags());
    all.extend(proxies());
    all
}

/// What the pod is given.
fn accounts() -> Vec<Variant> {
    vec![
        works(CASE, "token, CA and namespace", pod),
        works(CASE, "all with a line end", |a| {
            let (token, namespace) = (a.g.token.clone() + "\n", format!("{}\n", a.g.namespace));
            pod(a)
                .file("account/token", token)
                .file("account/namespace", namespace)
        }),
        works(CASE, "no HOME", |a| pod(a).without("HOME")),
        works(CASE, "POD_NAMESPACE over the file", |a| {
            let namespace = a.g.namespace.clone();
            pod(a)
                .file("account/namespace", "default")
                .env("POD_NAMESPACE", &namespace)
        }),
        refused(CASE, "another POD_NAMESPACE over the file", |a| {
            pod(a).env("POD_NAMESPACE", "default")
        }),
        works(CASE, "no namespace, and one by flag", |a| {
            pod(a).file("account/namespace", "").in_namespace()
        }),
        refused(CASE, "no namespace", |a| {
            pod(a).file("account/namespace", " \n")
        }),
        works(CASE, "no CA, and the system trusts it", |a| {
            let ca = a.g.ca.clone();
            pod(a)
                .file("account/ca.crt", "")
                .file("trusted", ca)
                .env("SSL_CERT_FILE", "FOLDER/trusted")
        }),
        refused(CASE, "no CA", |a| pod(a).file("account/ca.crt", "")),
        works(CASE, "the server by its name", |a| {
            pod(a)
                .mounts("echo '127.0.0.1 localhost' > FOLDER/hosts && mount --bind FOLDER/hosts /etc/hosts")
                .env("KUBERNETES_SERVICE_HOST", "localhost")
                .forwarded()
        }),
        refused(CASE, "no KUBERNETES_SERVICE_PORT", |a| {
            pod(a).without("KUBERNETES_SERVICE_PORT").in_namespace()
        }),
        refused(CASE, "KUBERNETES_SERVICE_HOST is empty", |a| {
            pod(a).env("KUBERNETES_SERVICE_HOST", "").in_namespace()
        }),
        refused(CASE, "an empty token", |a| pod(a).file("account/token", "")),
        refused(CASE, "another's token", |a| {
            let token = a.g.stranger_token.clone();
            pod(a).file("account/token", token)
        }),
    ]
}

/// A pod with a kubeconfig.
fn kubeconfigs() -> Vec<Variant> {
    vec![
        works(CASE, "an empty kubeconfig", |a| pod(a).kubeconfig("")),
        works(CASE, "a kubeconfig that does not exist", |a| {
            pod(a).files(&["missing"])
        }),
        works(CASE, "a kubeconfig without current-context", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.stranger_user());
            pod(a).kubeconfig(text.replace("current-context: way\n", ""))
        }),
        works(CASE, "a kubeconfig whose context has no cluster", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.stranger_user());
            pod(a).kubeconfig(text.replace("    cluster: here\n", ""))
        }),
        works(CASE, "a kubeconfig that only has a namespace", |a| {
            let namespace = &a.g.namespace;
            let text = format!(
                "current-context: x\ncontexts: [{{name: x, context: {{namespace: {namespace}}}}}]\n"
            );
            pod(a).file("account/namespace", "default").kubeconfig(text)
        }),
        works(CASE, "a kubeconfig, which counts", |a| {
            let token = a.g.stranger_token.clone();
            pod(a).file("account/token", token).usual()
        }),
        refused(CASE, "another's kubeconfig, which counts", |a| {
            let user = a.g.stranger_user();
            pod(a).user(&user)
        }),
        refused(CASE, "a kubeconfig that is broken", |a| {
            pod(a).kubeconfig("contexts: [\n")
        }),
    ]
}

fn with_flags() -> Vec<Variant> {
    vec![
        works(CASE, "--token over the account's", |a| {
            let (token, other) = (a.g.token.clone(), a.g.stranger_token.clone());
            pod(a)
                .file("account/token", other)
                .args(&["--token", &token])
        }),
        refused(CASE, "another's --token over the account's", |a| {
            let other = a.g.stranger_token.clone();
            pod(a).args(&["--token", &other])
        }),
        works(CASE, "--insecure-skip-tls-verify", |a| {
            pod(a).args(&["--insecure-skip-tls-verify"])
        }),
        works(CASE, "--certificate-authority over the account's", |a| {
            let ca = a.g.ca.clone();
            pod(a)
                .file("account/ca.crt", "")
                .file("ca.crt", ca)
                .args(&["--certificate-authority=FOLDER/ca.crt"])
        }),
        stricter(CASE, "--tls-server-name", FlagCounts, |a| {
            pod(a).args(&["--tls-server-name=elsewhere"])
        }),
        refused(CASE, "--server", |a| {
            let server = a.g.server.clone();
            pod(a).args(&["--server", &server])
        }),
        refused(CASE, "--context", |a| pod(a).args(&["--context=way"])),
        refused(CASE, "--user", |a| pod(a).args(&["--user=me"])),
        refused(CASE, "--kubeconfig that does not exist", |a| {
            pod(a).args(&["--kubeconfig=gone"])
        }),
        works(CASE, "--request-timeout=0", |a| {
            pod(a).args(&["--request-timeout=0"])
        }),
        kinder(CASE, "--disable-compression", Harmless, |a| {
            pod(a).args(&["--disable-compression"])
        }),
        kinder(CASE, "--request-timeout", Harmless, |a| {
            pod(a).args(&["--request-timeout=10s"])
        }),
    ]
}

fn proxies() -> Vec<Variant> {
    vec![
        works(CASE, "HTTPS_PROXY", |a| {
            let relay = Relay::http(a.g.api);
            let url = format!("http://127.0.0.1:{}", relay.port());
            pod(a).env("HTTPS_PROXY", &url).through(relay)
        }),
        works(CASE, "HTTPS_PROXY and NO_PROXY", |a| {
            let relay = Relay::http(a.g.api);
            let url = format!("http://127.0.0.1:{}", relay.port());
            let host = a.g.api.ip().to_string();
            pod(a)
                .env("HTTPS_PROXY", &url)
                .env("NO_PROXY", &host)
                .past(relay)
        }),
        refused(CASE, "HTTPS_PROXY where nobody listens", |a| {
            pod(a).env("HTTPS_PROXY", "http://127.0.0.1:9")
        }),
    ]
}

/// A pod with this ServiceAccount, as far as a program sees: in a mount namespace of its own with another `/run`.
fn pod(a: Attempt) -> Attempt {
    let (host, port) = (a.g.api.ip().to_string(), a.g.api.port().to_string());
    let (token, ca, namespace) = (a.g.token.clone(), a.g.ca.clone(), a.g.namespace.clone());
    a.file("account/token", token)
        .file("account/ca.crt", ca)
        .file("account/namespace", namespace)
        .env("KUBERNETES_SERVICE_HOST", &host)
        .env("KUBERNETES_SERVICE_PORT", &port)
        .mounts("mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount && mount --bind FOLDER/account /run/secrets/kubernetes.io/serviceaccount")
}

impl Attempt<'_> {
    /// The API server at a port of the loopback.
    fn forwarded(self) -> Self {
        let relay = Relay::forward(self.g.api);
        let port = relay.port().to_string();
        self.env("KUBERNETES_SERVICE_PORT", &port).through(relay)
    }
}

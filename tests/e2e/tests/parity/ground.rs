//! What all variants share: a person with a namespace, credentials of every kind, and the API server without TLS.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Person, Stage, eventually};
use serde_json::Value;
use test_cluster::Realm;

use crate::parity::certificates::Certificates;
use crate::parity::relay::NAME;

/// The path below which a bastion would have the API server.
pub(super) const PREFIX: &str = "/k8s/clusters/c-abc12";

/// What all variants share.
pub(super) struct Ground {
    /// Where everything is written; removed at the end.
    pub(super) dir: PathBuf,
    _dir: tempfile::TempDir,
    pub(super) kubectl: PathBuf,
    /// Our program that asks the least.
    pub(super) ours: PathBuf,
    /// The namespace in which alice and the ServiceAccount `ci` may do something.
    pub(super) namespace: String,
    /// Where the API server answers.
    pub(super) api: SocketAddr,
    /// The same as a URL.
    pub(super) server: String,
    pub(super) ca: String,
    pub(super) alice: Pair,
    /// Somebody without any right in the namespace.
    pub(super) stranger: Pair,
    /// Somebody who may do everything and act as everybody.
    pub(super) admin: Pair,
    pub(super) token: String,
    pub(super) stranger_token: String,
    pub(super) login: Login,
    pub(super) certificates: Certificates,
    /// The port of `kubectl proxy`, with alice's rights.
    pub(super) plain_port: u16,
    /// The port of one below [`PREFIX`].
    pub(super) prefixed_port: u16,
    proxies: Vec<Child>,
}

/// Somebody who logs in at the issuer, and may do in the namespace what alice may.
pub(super) struct Login {
    pub(super) issuer: String,
    /// The issuer's certificate authority in PEM.
    pub(super) authority: String,
    pub(super) id_token: String,
    /// It counts more than once.
    pub(super) refresh_token: String,
    /// The settings for DNS of a machine that finds the issuer.
    pub(super) dns: PathBuf,
    /// The certificates of a machine that trusts it.
    pub(super) trusted: PathBuf,
}

impl Login {
    fn new(stage: &mut Stage, namespace: &str) -> Self {
        let realm = Realm::Sspcloud;
        let student = stage.person_by("student", test_cluster::Login::Onyxia(realm));
        let user = format!("--user=oidc-{}", student.name);
        let bind = [
            "create",
            "rolebinding",
            "student",
            "-n",
            namespace,
            "--clusterrole=admin",
            &user,
        ];
        stage.admin().kubectl(&bind).ok();
        let tokens = stage
            .cluster
            .issuer()
            .unwrap()
            .log_in(realm, &student.name)
            .unwrap();
        let state = stage.cluster.state().canonicalize().unwrap();
        Self {
            issuer: realm.url(),
            authority: std::fs::read_to_string(stage.cluster.login_certificate()).unwrap(),
            id_token: tokens.id_token,
            refresh_token: tokens.refresh_token,
            dns: state.join("resolv.conf"),
            trusted: state.join("trusted.crt"),
        }
    }
}

/// A certificate and its key in PEM.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Pair {
    /// As a user of a kubeconfig.
    pub(super) fn user(&self) -> String {
        format!(
            "client-certificate-data: {}\nclient-key-data: {}",
            base64(&self.certificate),
            base64(&self.key)
        )
    }
}

/// What a `*-data` field holds.
pub(super) fn base64(text: impl AsRef<[u8]>) -> String {
    STANDARD.encode(text)
}

/// Text in lines of this length.
pub(super) fn wrapped(text: &str, width: usize, end: &str) -> String {
    let lines = text.as_bytes().chunks(width);
    lines.fold(String::new(), |mut wrapped, line| {
        wrapped += std::str::from_utf8(line).unwrap();
        wrapped += end;
        wrapped
    })
}

/// Every line this far to the right.
pub(super) fn indented(text: &str, by: usize) -> String {
    text.lines().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{:by$}{line}", "");
        all
    })
}

impl Ground {
    pub(super) fn new(stage: &mut Stage) -> Self {
        assert!(
            stage.cluster.is_own_node(),
            "the ways to reach the cluster are known of the own node only"
        );
        let alice = stage.person("alice");
        let stranger = stage.person("stranger");
        let admin = stage.admin();
        let namespace = alice.namespace();
        let token = service_account(&admin, &namespace, "ci");
        let stranger_token = service_account(&admin, &namespace, "other");
        let binding = "--clusterrole=admin";
        let subject = format!("--serviceaccount={namespace}:ci");
        let bind = [
            "create",
            "rolebinding",
            "ci",
            "-n",
            &namespace,
            binding,
            &subject,
        ];
        admin.kubectl(&bind).ok();
        let view = view(&admin);
        let server = view["clusters"][0]["cluster"]["server"].as_str().unwrap();
        let ca = decoded(&view["clusters"][0]["cluster"]["certificate-authority-data"]);
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().canonicalize().unwrap();
        let kubectl = stage.cluster.kubectl().to_owned();
        let (plain, plain_port) = kubectl_proxy(&kubectl, &alice.kubeconfig, &[]);
        let prefix = format!("--api-prefix={PREFIX}/");
        let (prefixed, prefixed_port) = kubectl_proxy(&kubectl, &alice.kubeconfig, &[&prefix]);
        let pki = stage.cluster.state().join("pki");
        let user = format!("oidc-{}", alice.name);
        let ground = Self {
            login: Login::new(stage, &namespace),
            certificates: Certificates::new(&dir.join("certificates"), &pki, &user),
            dir,
            _dir: scratch,
            ours: PathBuf::from(alice.plugin("share-db").get_program())
                .canonicalize()
                .unwrap(),
            kubectl,
            namespace,
            api: server
                .trim_start_matches("https://")
                .parse()
                .expect("the own node is reached by its address"),
            server: server.to_owned(),
            ca,
            alice: pair(&alice),
            stranger: pair(&stranger),
            admin: pair(&admin),
            token,
            stranger_token,
            plain_port,
            prefixed_port,
            proxies: vec![plain, prefixed],
        };
        eventually("the token may look", Duration::from_secs(30), || {
            let token = format!("--token={}", ground.token);
            let kubeconfig = ground.dir.join("anonymous");
            std::fs::write(&kubeconfig, ground.config(&ground.cluster(), "{}")).unwrap();
            let mut kubectl = Command::new(&ground.kubectl);
            kubectl.args(["get", "pods", &token, "--kubeconfig"]);
            // Variants then need not ask what kinds of objects there are.
            kubectl.env("KUBECACHEDIR", ground.dir.join("cache"));
            e2e::run(kubectl.arg(kubeconfig).env_remove("KUBECONFIG")).code == 0
        });
        ground
    }

    /// The usual cluster of a kubeconfig.
    pub(super) fn cluster(&self) -> String {
        format!(
            "server: {}\ncertificate-authority-data: {}",
            self.server,
            base64(&self.ca)
        )
    }

    /// A cluster at another address, with the same authority.
    pub(super) fn cluster_at(&self, server: &str) -> String {
        format!(
            "server: {server}\ncertificate-authority-data: {}",
            base64(&self.ca)
        )
    }

    /// The API server without TLS.
    pub(super) fn plain(&self) -> String {
        format!("http://127.0.0.1:{}", self.plain_port)
    }

    /// The usual user of a kubeconfig.
    pub(super) fn token_user(&self) -> String {
        format!("token: {}", self.token)
    }

    /// A user of a kubeconfig who may do nothing here.
    pub(super) fn stranger_user(&self) -> String {
        format!("token: {}", self.stranger_token)
    }

    /// The usual context of a kubeconfig.
    pub(super) fn context(&self) -> String {
        format!("cluster: here\nuser: me\nnamespace: {}\n", self.namespace)
    }

    /// The usual kubeconfig, with the fields of its cluster and its user.
    pub(super) fn config(&self, cluster: &str, user: &str) -> String {
        self.config_beside(cluster, user, ["", "", ""])
    }

    /// The usual kubeconfig with other entries before the used ones: contexts, clusters, users.
    pub(super) fn config_beside(&self, cluster: &str, user: &str, others: [&str; 3]) -> String {
        let [contexts, clusters, users] = others.map(|entries| indented(entries, 0));
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: way\n\
             contexts:\n{contexts}- name: way\n  context:\n{}\
             clusters:\n{clusters}- name: here\n  cluster:\n{}\
             users:\n{users}- name: me\n  user:\n{}",
            indented(&self.context(), 4),
            indented(cluster, 4),
            indented(user, 4)
        )
    }

    /// `/etc/hosts` with [`NAME`] at this address, for [`crate::parity::attempt::Attempt::mounts`].
    pub(super) fn hosts(address: &str) -> String {
        format!("echo '{address} {NAME}' > FOLDER/hosts && mount --bind FOLDER/hosts /etc/hosts")
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for proxy in &mut self.proxies {
            let _ = proxy.kill();
            let _ = proxy.wait();
        }
    }
}

/// A person's kubeconfig as kubectl reads it.
fn view(person: &Person) -> Value {
    let view = person.kubectl(&["config", "view", "--raw", "-o", "json"]);
    serde_json::from_str(&view.ok().stdout).unwrap()
}

fn pair(person: &Person) -> Pair {
    let user = &view(person)["users"][0]["user"];
    Pair {
        certificate: decoded(&user["client-certificate-data"]),
        key: decoded(&user["client-key-data"]),
    }
}

fn decoded(data: &Value) -> String {
    let bytes = STANDARD.decode(data.as_str().unwrap()).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Makes a ServiceAccount and returns a token of it.
fn service_account(admin: &Person, namespace: &str, name: &str) -> String {
    let create = ["create", "serviceaccount", name, "-n", namespace];
    admin.kubectl(&create).ok();
    let token = ["create", "token", name, "-n", namespace, "--duration=1h"];
    admin.kubectl(&token).ok().stdout.trim().to_owned()
}

/// Starts `kubectl proxy`; answers its port too.
fn kubectl_proxy(kubectl: &Path, kubeconfig: &Path, args: &[&str]) -> (Child, u16) {
    let hosts = format!("--accept-hosts=^(localhost|LOCALHOST|127\\.0\\.0\\.1|{NAME})$");
    let mut child = Command::new(kubectl)
        .args(["proxy", "--port=0", &hosts, "--kubeconfig"])
        .arg(kubeconfig)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let port = line.trim().rsplit(':').next().unwrap_or_default();
    let port = port
        .parse()
        .unwrap_or_else(|_| panic!("kubectl proxy said {line:?}"));
    (child, port)
}

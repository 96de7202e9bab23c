//! From kubectl's flags and the kubeconfig to one cluster and one user, with kubectl's precedence (client-go's
//! `tools/clientcmd/client_config.go`, as of v0.35).

use std::path::{Path, PathBuf};

use base64::Engine;
use http::Uri;
use serde_json::{Value, json};

use super::kubeconfig::{Entry, Kind as Section, Kubeconfig};
use super::user::{Bearer, Pem, User};
use crate::cli::ConnectionFlags;
use crate::error::{Error, Kind, Result, name_hint};
use crate::printable;
use crate::proxy::{Proxies, Proxy};

const VIEW: &str = "see what it has: `kubectl config view`";

/// Where Kubernetes puts what a pod needs to reach the API server.
const POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The cluster and the user that are meant.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The context's name, empty if none was used.
    pub(super) context: String,
    pub(super) namespace: String,
    pub(super) server: Uri,
    /// The certificate authority, in PEM; `None` for those that the machine trusts.
    pub(super) authority: Option<Vec<u8>>,
    /// The file of that authority, if it is replaced from time to time.
    pub(super) authority_file: Option<PathBuf>,
    pub(super) insecure: bool,
    pub(super) tls_server_name: Option<String>,
    pub(super) proxy: Option<Proxy>,
    pub(super) user: User,
    /// Where the user stands, to be read again.
    pub(super) origin: Option<Origin>,
}

/// Which entries of the kubeconfig were used.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    flags: ConnectionFlags,
    cluster: String,
    server: String,
    user: String,
}

impl Origin {
    /// The user's name in the kubeconfig.
    pub(super) fn user_name(&self) -> &str {
        &self.user
    }

    /// The user as the kubeconfig has it now; `None` where the entry has gone, or where the cluster of that name is another one
    /// by now, which must not see this user's new credentials.
    pub(super) fn user(&self) -> Result<Option<User>> {
        let kubeconfig = Kubeconfig::read(self.flags.kubeconfig.as_deref())?;
        let Some(cluster) = kubeconfig.entry(Section::Cluster, &self.cluster)? else {
            return Ok(None);
        };
        let Some(entry) = kubeconfig.entry(Section::User, &self.user)? else {
            return Ok(None);
        };
        if self.flags.server.is_none() && cluster.text("server")?.as_deref() != Some(&self.server) {
            return Ok(None);
        }
        let described = describe(
            &self.server,
            Some(&cluster),
            &Tls::of(Some(&cluster), &self.flags)?,
        );
        User::of(&self.user, Some(&entry), &self.flags, &described).map(Some)
    }
}

impl Settings {
    /// What flags, kubeconfig and, where there is neither kubeconfig nor `--server`, the pod around us say.
    pub(super) fn find(flags: &ConnectionFlags) -> Result<Self> {
        if let Some(server) = &flags.server {
            address(Kind::Usage, server, "`--server`")?;
        }
        let kubeconfig = Kubeconfig::read(flags.kubeconfig.as_deref())?;
        if kubeconfig.is_empty() && flags.server.is_none() {
            return match Self::of_pod(flags) {
                Some(settings) => settings,
                None => Err(none_found(flags)),
            };
        }
        Self::of(&kubeconfig, flags)
    }

    fn of(kubeconfig: &Kubeconfig, flags: &ConnectionFlags) -> Result<Self> {
        let named = |flag: &Option<String>| flag.clone().filter(|name| !name.is_empty());
        let context_name =
            named(&flags.context).or(kubeconfig.current_context().map(str::to_owned));
        let context = match &context_name {
            None => None,
            Some(name) => Some(found(kubeconfig, Section::Context, name, None)?),
        };
        let of_context = |key: &str| {
            context
                .as_ref()
                .map_or(Ok(None), |context| context.text(key))
        };
        let by = context_name.as_deref();
        let cluster_name = named(&flags.cluster).or(of_context("cluster")?);
        let cluster = match &cluster_name {
            None => None,
            Some(name) => Some(found(
                kubeconfig,
                Section::Cluster,
                name,
                by.filter(|_| flags.cluster.is_none()),
            )?),
        };
        let user_name = named(&flags.user).or(of_context("user")?);
        let user = match &user_name {
            None => None,
            Some(name) => Some(found(
                kubeconfig,
                Section::User,
                name,
                by.filter(|_| flags.user.is_none()),
            )?),
        };
        let of_cluster = |key: &str| {
            cluster
                .as_ref()
                .map_or(Ok(None), |cluster| cluster.text(key))
        };
        let server = match (named(&flags.server), of_cluster("server")?, &cluster_name) {
            (Some(server), ..) | (None, Some(server), _) => server,
            (None, None, Some(_)) => {
                return Err(Error::new("the kubeconfig's cluster has no server address").hint(VIEW));
            }
            (None, None, None) => return Err(no_context(kubeconfig, by)),
        };
        let uri = address(Kind::Failed, &server, "the kubeconfig's server address")?;
        let tls = Tls::of(cluster.as_ref(), flags)?;
        let described = describe(&server, cluster.as_ref(), &tls);
        let user_name = user_name.unwrap_or_default();
        let origin = cluster_name
            .filter(|_| user.is_some())
            .map(|cluster| Origin {
                flags: flags.clone(),
                cluster,
                server: server.clone(),
                user: user_name.clone(),
            });
        let proxy = match of_cluster("proxy-url")? {
            Some(url) => Some(usable(Proxy::parse(&url), "`proxy-url` in the kubeconfig")?),
            None => of_environment(&uri)?,
        };
        Ok(Self {
            context: context_name.unwrap_or_default(),
            namespace: namespace(named(&flags.namespace).or(of_context("namespace")?))?,
            server: uri,
            authority: tls.authority,
            authority_file: None,
            insecure: tls.insecure,
            tls_server_name: tls.server_name,
            proxy,
            user: User::of(&user_name, user.as_ref(), flags, &described)?,
            origin,
        })
    }

    /// What a pod is given; `None` outside of one.
    fn of_pod(flags: &ConnectionFlags) -> Option<Result<Self>> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        let token = Path::new(POD).join("token");
        if !token.is_file() {
            return None;
        }
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        };
        let kept = || std::fs::read_to_string(Path::new(POD).join("namespace")).ok();
        let of_pod = variable("POD_NAMESPACE")
            .or_else(kept)
            .map(|name| name.trim().to_owned());
        let settings = || {
            let server = address(
                Kind::Failed,
                &format!("https://{host}:{port}"),
                "KUBERNETES_SERVICE_HOST",
            )?;
            let file = Path::new(POD).join("ca.crt");
            let tls = Tls::of(None, flags)?;
            let of_flags = tls.authority.is_some() || tls.insecure;
            let mut user = User::of("", None, flags, &Value::Null)?;
            if matches!(user.bearer, Bearer::Nothing) {
                user.bearer = Bearer::File {
                    path: token.clone(),
                    otherwise: None,
                };
            }
            Ok(Self {
                context: "the pod's ServiceAccount".into(),
                namespace: namespace(flags.namespace.clone().or(of_pod.clone()))?,
                proxy: of_environment(&server)?,
                server,
                authority: if of_flags {
                    tls.authority
                } else {
                    std::fs::read(&file).ok()
                },
                authority_file: (!of_flags && file.is_file()).then_some(file),
                insecure: tls.insecure,
                tls_server_name: tls.server_name,
                user,
                origin: None,
            })
        };
        Some(settings())
    }
}

/// How the API server proves who it is.
struct Tls {
    authority: Option<Vec<u8>>,
    insecure: bool,
    server_name: Option<String>,
}

impl Tls {
    fn of(cluster: Option<&Entry<'_>>, flags: &ConnectionFlags) -> Result<Self> {
        let text = |key: &str| cluster.map_or(Ok(None), |cluster| cluster.text(key));
        // The kubeconfig's name was for the kubeconfig's address.
        let server_name = match (&flags.tls_server_name, &flags.server) {
            (None, None) => text("tls-server-name")?,
            (name, _) => name.clone().filter(|name| !name.is_empty()),
        };
        let authority = match (
            flags.certificate_authority.as_deref(),
            flags.insecure_skip_tls_verify,
        ) {
            (Some(file), _) if !file.is_empty() => Some(Pem::File(file.into())),
            (_, Some(true)) => None,
            _ => authority_of(cluster)?,
        };
        let insecure = match flags.insecure_skip_tls_verify {
            Some(insecure) => insecure,
            None if flags.certificate_authority.is_some() => false,
            None => cluster.map_or(Ok(false), |cluster| {
                cluster.flag("insecure-skip-tls-verify")
            })?,
        };
        if insecure && authority.is_some() {
            return Err(Error::new("a certificate authority is given, and that certificates are not to be checked")
                .hint("remove `insecure-skip-tls-verify` from the kubeconfig, or the certificate authority"));
        }
        Ok(Self {
            authority: authority
                .map(|pem| pem.read("certificate authority"))
                .transpose()?,
            insecure,
            server_name,
        })
    }
}

fn authority_of(cluster: Option<&Entry<'_>>) -> Result<Option<Pem>> {
    let Some(cluster) = cluster else {
        return Ok(None);
    };
    match (cluster.data("certificate-authority-data")?, cluster.path("certificate-authority")?) {
        (Some(_), Some(_)) => Err(Error::new(
            "the kubeconfig's cluster has both `certificate-authority` and `certificate-authority-data`",
        )
        .hint("keep one of them: `kubectl config view`")),
        (data, file) => Ok(data.map(Pem::Data).or(file.map(Pem::File))),
    }
}

/// An entry that must be there; `by` is the context that names it.
fn found<'a>(
    kubeconfig: &'a Kubeconfig,
    section: Section,
    name: &str,
    by: Option<&str>,
) -> Result<Entry<'a>> {
    if let Some(entry) = kubeconfig.entry(section, name)? {
        return Ok(entry);
    }
    let (noun, see) = match section {
        Section::Cluster => ("cluster", VIEW),
        Section::User => ("user", VIEW),
        Section::Context => ("context", "see the contexts: `kubectl config get-contexts`"),
    };
    let error = Error::new(format!(
        "the kubeconfig has no {noun} `{}`",
        printable::short(name, 80)
    ));
    let error = match by {
        Some(context) => error.caused_by(format!(
            "context `{}` names it",
            printable::short(context, 80)
        )),
        None => error,
    };
    let names = kubeconfig.names(section);
    Err(match name_hint(name, names.iter().copied()) {
        Some(hint) if section == Section::Context => error.hint(hint),
        _ => error.hint(see),
    })
}

fn no_context(kubeconfig: &Kubeconfig, context: Option<&str>) -> Error {
    if let Some(context) = context {
        return Error::new(format!(
            "context `{}` of the kubeconfig names no cluster",
            printable::short(context, 80)
        ))
        .hint(VIEW);
    }
    let error = Error::new("the kubeconfig has no current context")
        .hint("choose one: `kubectl config use-context NAME`");
    let names = kubeconfig.names(Section::Context);
    match name_hint("", names.iter().copied()) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn none_found(flags: &ConnectionFlags) -> Error {
    let error = Error::new("no kubeconfig found");
    let usual = || {
        std::env::home_dir()
            .map(|home| home.join(".kube/config"))
            .filter(|path| path.exists())
    };
    let nothing = |file: &str| {
        format!(
            "{} names no cluster and no context",
            printable::short(file, 200)
        )
    };
    let error = match (&flags.kubeconfig, std::env::var("KUBECONFIG"), usual()) {
        (Some(file), ..) => error.caused_by(nothing(file)),
        (None, Ok(named), _) if !named.is_empty() => error.caused_by(format!(
            "KUBECONFIG names {}, which does not exist or says nothing",
            printable::short(&named, 200)
        )),
        (.., Some(file)) => error.caused_by(nothing(&file.display().to_string())),
        _ => error,
    };
    error.hint("put it at ~/.kube/config, or name it with `--kubeconfig FILE` or KUBECONFIG (on Onyxia: My account, Kubernetes)")
}

/// A server's address, without a query, which would be sent along with every request.
fn address(kind: Kind, server: &str, what: &str) -> Result<Uri> {
    let uri: Option<Uri> = server.parse().ok();
    let uri = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    uri.ok_or_else(|| {
        Error::of(
            kind,
            format!("{what} `{}` is not a URL", printable::short(server, 80)),
        )
        .hint("write it like `https://host:6443`")
    })
}

fn of_environment(server: &Uri) -> Result<Option<Proxy>> {
    let proxies = Proxies::from_env();
    let proxy = proxies.for_url(server).cloned();
    proxy
        .map(|proxy| usable(Some(proxy), "HTTPS_PROXY"))
        .transpose()
}

/// A proxy of a kind that can be spoken to. Its address is not shown: it may hold a password.
fn usable(proxy: Option<Proxy>, place: &str) -> Result<Proxy> {
    let speaks = |proxy: &Proxy| {
        proxy.is_socks() || matches!(proxy.uri().scheme_str(), Some("http" | "https"))
    };
    proxy.filter(speaks).ok_or_else(|| {
        Error::new("the proxy's address is not a URL of http, https or socks5")
            .hint(format!("check {place}"))
    })
}

fn namespace(named: Option<String>) -> Result<String> {
    let name = named
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "default".into());
    let fits = name.len() <= 63
        && name
            .bytes()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
    if fits {
        return Ok(name);
    }
    let name = printable::short(&name, 80);
    Err(Error::usage(format!(
        "`{name}` cannot be the name of a namespace"
    )))
}

/// What a credential plugin may be told of the cluster (`provideClusterInfo`).
fn describe(server: &str, cluster: Option<&Entry<'_>>, tls: &Tls) -> Value {
    let mut described = json!({ "server": server });
    if let Some(name) = &tls.server_name {
        described["tls-server-name"] = json!(name);
    }
    if tls.insecure {
        described["insecure-skip-tls-verify"] = json!(true);
    }
    if let Some(authority) = &tls.authority {
        let encoded = base64::engine::general_purpose::STANDARD.encode(authority);
        described["certificate-authority-data"] = json!(encoded);
    }
    let Some(cluster) = cluster else {
        return described;
    };
    if let Ok(Some(proxy)) = cluster.text("proxy-url") {
        described["proxy-url"] = json!(proxy);
    }
    for extension in cluster.maps("extensions").unwrap_or_default() {
        if extension.text("name").ok().flatten().as_deref()
            == Some("client.authentication.k8s.io/exec")
            && let Some(config) = extension.any("extension")
        {
            described["config"] = config.clone();
        }
    }
    described
}

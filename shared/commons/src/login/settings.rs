//! From kubectl's flags and the kubeconfig to one cluster and one user, with kubectl's precedence (client-go's
//! `tools/clientcmd/client_config.go`, as of v0.35).

use base64::Engine;
use http::Uri;
use serde_json::{Value, json};

use super::hints::VIEW;
use super::kubeconfig::{Entry, Kind as Section, Kubeconfig};
use super::pod;
use super::trust::Tls;
use super::user::{Impersonated, User};
use crate::error::{Error, Kind, Result, name_hint};
use crate::flags::ConnectionFlags;
use crate::printable;
use crate::proxy::{Proxies, Proxy};

/// The cluster and the user that are meant.
pub(super) struct Settings {
    /// The context's name, empty if none was used.
    pub(super) context: String,
    pub(super) namespace: String,
    pub(super) server: Uri,
    pub(super) tls: Tls,
    pub(super) proxy: Option<Proxy>,
    pub(super) user: User,
    /// Where the user stands, to be read again.
    pub(super) origin: Option<Origin>,
}

/// Which entries of the kubeconfig were used.
#[derive(Clone)]
pub(super) struct Origin {
    flags: ConnectionFlags,
    cluster: String,
    user: String,
    /// What went with the credentials when the command began.
    then: Surroundings,
}

/// Where credentials are sent, how that is checked, and for whom.
#[derive(Clone, PartialEq, Eq)]
struct Surroundings {
    server: Option<String>,
    proxy: Option<String>,
    tls: Tls,
    impersonated: Impersonated,
}

impl Origin {
    /// The user's name in the kubeconfig.
    pub(super) fn user_name(&self) -> &str {
        &self.user
    }

    /// Whether the kubeconfig's user counts, and not a flag.
    pub(super) fn is_read_again(&self) -> bool {
        self.flags.token.is_none()
    }

    /// The user as the kubeconfig has it now; `None` where the entry has gone, or where anything around it is different by now:
    /// another server must not see this user's new credentials, nor the same one with other checks.
    pub(super) fn user(&self) -> Result<Option<User>> {
        let kubeconfig = Kubeconfig::read(self.flags.kubeconfig.as_deref())?;
        let Some(entry) = kubeconfig.entry(Section::User, &self.user)? else {
            return Ok(None);
        };
        let cluster = kubeconfig.entry(Section::Cluster, &self.cluster)?;
        let tls = Tls::of(cluster.as_ref(), &self.flags)?;
        let text = |key: &str| {
            cluster
                .as_ref()
                .map_or(Ok(None), |cluster| cluster.text(key))
        };
        let server = self
            .flags
            .server
            .clone()
            .or(text("server")?)
            .unwrap_or_default();
        let described = describe(&server, cluster.as_ref(), &tls);
        let user = User::of(&self.user, Some(&entry), &self.flags, &described)?;
        let now = Surroundings {
            server: text("server")?,
            proxy: text("proxy-url")?,
            tls,
            impersonated: user.impersonated.clone(),
        };
        Ok((now == self.then).then_some(user))
    }
}

impl Settings {
    /// What flags, kubeconfig and, where these name no server, the pod around us say.
    pub(super) fn find(flags: &ConnectionFlags) -> Result<Self> {
        let kubeconfig = Kubeconfig::read(flags.kubeconfig.as_deref())?;
        let chosen = Chosen::of(&kubeconfig, flags)?;
        match chosen.server(flags)? {
            Some(server) => chosen.settings(&server, flags),
            None => match pod::settings(flags, chosen.namespace()?) {
                Some(settings) => settings,
                None => Err(chosen.without_server(flags)),
            },
        }
    }
}

/// The entries that flags and the current context name.
struct Chosen<'a> {
    kubeconfig: &'a Kubeconfig,
    context: Named<'a>,
    cluster: Named<'a>,
    user: Named<'a>,
}

/// An entry by its name, which may be empty.
struct Named<'a> {
    name: String,
    entry: Option<Entry<'a>>,
}

impl Named<'_> {
    fn text(&self, key: &str) -> Result<Option<String>> {
        self.entry
            .as_ref()
            .map_or(Ok(None), |entry| entry.text(key))
    }
}

impl<'a> Chosen<'a> {
    fn of(kubeconfig: &'a Kubeconfig, flags: &ConnectionFlags) -> Result<Self> {
        let named = |section, name: Option<String>| -> Result<Named<'a>> {
            let name = name.unwrap_or_default();
            let entry = kubeconfig.entry(section, &name)?;
            Ok(Named { name, entry })
        };
        let flagged = |section, name: &str| -> Result<Named<'a>> {
            let entry = kubeconfig.entry(section, name)?;
            let entry = entry.ok_or_else(|| missing(kubeconfig, section, name, None))?;
            Ok(Named {
                name: name.to_owned(),
                entry: Some(entry),
            })
        };
        let context = match flags.context.as_deref().or(kubeconfig.current_context()) {
            Some(name) => flagged(Section::Context, name)?,
            None => named(Section::Context, None)?,
        };
        let cluster = match &flags.cluster {
            Some(name) => flagged(Section::Cluster, name)?,
            None => named(Section::Cluster, context.text("cluster")?)?,
        };
        let user = match &flags.user {
            Some(name) => flagged(Section::User, name)?,
            None => named(Section::User, context.text("user")?)?,
        };
        Ok(Self {
            kubeconfig,
            context,
            cluster,
            user,
        })
    }

    fn server(&self, flags: &ConnectionFlags) -> Result<Option<String>> {
        if let Some(server) = &flags.server {
            address(Kind::Usage, server, "`--server`")?;
            return Ok(Some(server.clone()));
        }
        // As kubectl still has it.
        let master = || {
            std::env::var("KUBERNETES_MASTER")
                .ok()
                .filter(|server| !server.is_empty())
        };
        Ok(self.cluster.text("server")?.or_else(master))
    }

    fn namespace(&self) -> Result<Option<String>> {
        self.context.text("namespace")
    }

    fn settings(&self, server: &str, flags: &ConnectionFlags) -> Result<Settings> {
        let uri = address(Kind::Failed, server, "the kubeconfig's server address")?;
        let proxy = match self.cluster.text("proxy-url")? {
            Some(url) => Some(usable_proxy(&url)?),
            None => Proxies::from_env().for_url(&uri).cloned(),
        };
        let mut settings = Settings {
            context: self.context.name.clone(),
            namespace: namespace(flags.namespace.clone().or(self.namespace()?))?,
            server: uri,
            tls: Tls::default(),
            proxy,
            user: User::default(),
            origin: None,
        };
        // As kubectl: in the clear, everybody on the way would have the credentials.
        if settings.server.scheme_str() != Some("https") {
            settings.user = User::anonymous(self.user.entry.as_ref(), flags)?;
            return Ok(settings);
        }
        if self.user.entry.is_none() && !self.user.name.is_empty() {
            let by = Some(self.context.name.as_str());
            return Err(missing(self.kubeconfig, Section::User, &self.user.name, by));
        }
        settings.tls = Tls::of(self.cluster.entry.as_ref(), flags)?;
        let described = describe(server, self.cluster.entry.as_ref(), &settings.tls);
        settings.user = User::of(&self.user.name, self.user.entry.as_ref(), flags, &described)?;
        if self.user.entry.is_some() {
            settings.origin = Some(Origin {
                flags: flags.clone(),
                cluster: self.cluster.name.clone(),
                user: self.user.name.clone(),
                then: Surroundings {
                    server: self.cluster.text("server")?,
                    proxy: self.cluster.text("proxy-url")?,
                    tls: settings.tls.clone(),
                    impersonated: settings.user.impersonated.clone(),
                },
            });
        }
        Ok(settings)
    }

    /// Why there is no server to go to.
    fn without_server(&self, flags: &ConnectionFlags) -> Error {
        if self.kubeconfig.is_empty() {
            return none_found(flags);
        }
        let (context, cluster) = (self.context.name.as_str(), self.cluster.name.as_str());
        if self.cluster.entry.is_some() {
            return Error::new("the kubeconfig's cluster has no server address").hint(VIEW);
        }
        if !cluster.is_empty() {
            return missing(self.kubeconfig, Section::Cluster, cluster, Some(context));
        }
        if !context.is_empty() {
            let context = printable::short(context, 80);
            return Error::new(format!(
                "context `{context}` of the kubeconfig names no cluster"
            ))
            .hint(VIEW);
        }
        let error = Error::new("the kubeconfig has no current context")
            .hint("choose one: `kubectl config use-context NAME`");
        let names = self.kubeconfig.names(Section::Context);
        match name_hint("", names.iter().copied()) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// That an entry is not there; `by` is the context that names it.
fn missing(kubeconfig: &Kubeconfig, section: Section, name: &str, by: Option<&str>) -> Error {
    let (noun, see) = match section {
        Section::Cluster => ("cluster", VIEW),
        Section::User => ("user", VIEW),
        Section::Context => ("context", "see the contexts: `kubectl config get-contexts`"),
    };
    let shown = printable::short(name, 80);
    let error = Error::new(format!("the kubeconfig has no {noun} `{shown}`"));
    let error = match by {
        Some(context) => {
            let context = printable::short(context, 80);
            error.caused_by(format!("context `{context}` names it"))
        }
        None => error,
    };
    let names = kubeconfig.names(section);
    match name_hint(name, names.iter().copied()) {
        Some(hint) if section == Section::Context => error.hint(hint),
        _ => error.hint(see),
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
            "KUBECONFIG names {}, which does not exist or is empty",
            printable::short(&named, 200)
        )),
        (.., Some(file)) => error.caused_by(nothing(&file.display().to_string())),
        _ => error,
    };
    error.hint("put it at ~/.kube/config, or name it with `--kubeconfig FILE` or KUBECONFIG (on Onyxia: My account, Kubernetes)")
}

/// A server's address. Without a scheme it is plain http, as it is for kubectl.
pub(super) fn address(kind: Kind, server: &str, what: &str) -> Result<Uri> {
    let parse = |text: &str| text.parse::<Uri>().ok().filter(|uri| uri.host().is_some());
    let uri = match parse(server) {
        Some(uri) if uri.scheme().is_some() => Some(uri),
        _ => parse(&format!("http://{server}")).filter(|_| {
            server
                .strip_suffix('/')
                .unwrap_or(server)
                .find('/')
                .is_none()
        }),
    };
    uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")))
        .ok_or_else(|| {
            let server = printable::short(server, 80);
            Error::of(kind, format!("{what} `{server}` is not a URL"))
                .hint("write it like `https://host:6443`")
        })
}

/// The kubeconfig's proxy, which must be of a kind that can be spoken to. Its address is not shown: it may hold a password.
fn usable_proxy(url: &str) -> Result<Proxy> {
    let speaks = |proxy: &Proxy| {
        proxy.is_socks() || matches!(proxy.uri().scheme_str(), Some("http" | "https"))
    };
    Proxy::parse(url).filter(speaks).ok_or_else(|| {
        Error::new("the proxy's address is not a URL of http, https or socks5")
            .hint("check `proxy-url` in the kubeconfig")
    })
}

pub(super) fn namespace(named: Option<String>) -> Result<String> {
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
        let certificates: Vec<::pem::Pem> = authority
            .iter()
            .map(|der| ::pem::Pem::new("CERTIFICATE", der.clone()))
            .collect();
        let encoded =
            base64::engine::general_purpose::STANDARD.encode(::pem::encode_many(&certificates));
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

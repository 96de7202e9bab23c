//! The cluster as one user sees it: a client, a namespace, and every request's failure already in words.
//!
//! kube's own defaults are not used in three points: `TCP_NODELAY` is on (without it every new tunnel waits 40 ms for a delayed
//! acknowledgement), there are no silent retries (kube repeats 429, 503 and 504 for almost three minutes), and every request
//! ends in time.

mod client;
pub mod documents;
mod logs;
mod resource;
mod rights;
mod watch;

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions, PropagationPolicy};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Connection, Error, Kind, Request, Result, explain};
use crate::flags::ConnectionFlags;
use crate::login::Login;

pub use rights::{Answer, Right, refuse_lacking};
pub use watch::{Delta, Selection, Versioned};

/// How long an ordinary request may take when `--request-timeout` says nothing.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A Kubernetes object in a namespace, of a type known when this is compiled.
pub trait Namespaced:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
{
}
impl<K> Namespaced for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
{
}

/// A connection to a cluster as one user.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    namespace: String,
    /// Whether the namespace was given by `-n`, so that commands in hints need it too.
    is_named: bool,
    manager: &'static str,
    connection: Arc<Connection>,
    timeout: Option<Duration>,
    /// Seconds that the API server's clock is ahead of this machine's, from its `Date` headers.
    clock: Arc<AtomicI64>,
    login: Arc<Login>,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("connection", &self.connection)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Who the API server takes us for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user name, such as `oidc-alice`.
    pub username: String,
    /// The groups, `system:` ones included.
    pub groups: Vec<String>,
}

impl Cluster {
    /// Logs in as kubectl's flags, `KUBECONFIG`, `~/.kube/config` or, where there is none of these, the pod's ServiceAccount
    /// say. Nothing is sent yet, but a credential plugin runs now, while nothing else is on the screen.
    ///
    /// # Errors
    /// A kubeconfig that is absent, unreadable or names what it does not hold; a plugin that fails.
    pub async fn connect(flags: &ConnectionFlags, manager: &'static str) -> Result<Self> {
        let flags = &flags.without_empty_values();
        let login = Arc::new(Login::find(flags)?);
        if login.credentials.may_ask().await {
            login.credentials.current().await?;
        }
        let clock = Arc::new(AtomicI64::new(0));
        let timeout = match flags.request_timeout {
            None => Some(REQUEST_TIMEOUT),
            Some(Duration::ZERO) => None,
            some => some,
        };
        Ok(Self {
            client: client::build(login.clone(), clock.clone())?,
            namespace: login.config.default_namespace.clone(),
            is_named: flags.namespace.is_some(),
            manager,
            connection: Arc::new(login.connection.clone()),
            timeout,
            clock,
            login,
        })
    }

    /// From now on a credential plugin does not read standard input: a child command does.
    pub fn leave_stdin_alone(&self) {
        self.login.credentials.leave_stdin_alone();
    }

    /// Whether a new login in the kubeconfig takes the place of one that has ended.
    pub fn reads_new_logins(&self) -> bool {
        self.login.credentials.is_read_again()
    }

    /// When the login ends, if it cannot be renewed without its owner.
    ///
    /// # Errors
    /// It has ended.
    pub async fn login_end(&self) -> Result<Option<Timestamp>> {
        self.login.credentials.end().await
    }

    /// The host of the API server's address, without brackets.
    pub fn server_host(&self) -> &str {
        let host = self.login.config.cluster_url.host().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The namespace that is meant when none is named.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether somebody asked for this namespace, rather than the kubeconfig; `-n` may name the kubeconfig's own.
    pub fn is_asked_for(&self, namespace: &str) -> bool {
        self.is_named || namespace != self.namespace
    }

    /// The namespace that a command in a hint needs to name to be about the same one: nothing where none was named.
    pub fn named(&self) -> Option<&str> {
        self.is_named.then_some(self.namespace.as_str())
    }

    /// The kubeconfig's context; `the pod's ServiceAccount` inside a cluster.
    pub fn context(&self) -> &str {
        &self.connection.context
    }

    /// The field manager of this plugin, which is also its value of the label `app.kubernetes.io/managed-by`.
    pub fn manager(&self) -> &'static str {
        self.manager
    }

    /// The same connection writing as another plugin: what two plugins make must be one's to list and remove.
    #[must_use]
    pub fn under(&self, manager: &'static str) -> Self {
        Self {
            manager,
            ..self.clone()
        }
    }

    /// The client itself, for the tunnel.
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// The API server's present time; this machine's until the first answer.
    pub fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        now.checked_add(jiff::SignedDuration::from_secs(
            self.clock.load(Ordering::Relaxed),
        ))
        .unwrap_or(now)
    }

    /// Sends one request in bounded time and puts its failure into words.
    ///
    /// # Errors
    /// See [`explain`].
    pub async fn send<T>(
        &self,
        request: Request<'_>,
        work: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T> {
        // Logging in takes the time that it takes.
        self.login.credentials.current().await?;
        let start = std::time::Instant::now();
        let outcome = match self.timeout {
            Some(timeout) => match self.login.credentials.within(timeout, work).await {
                Some(outcome) => outcome,
                None => Err(kube::Error::Service("deadline has elapsed".into())),
            },
            None => work.await,
        };
        let failed = outcome
            .as_ref()
            .err()
            .map(|error| crate::printable::short(&error.to_string(), 200));
        tracing::debug!(
            "{} {}{}{} in {}: {} ({} ms)",
            request.verb,
            request.resource,
            if request.name.is_empty() { "" } else { " " },
            request.name,
            request.namespace.unwrap_or("the cluster"),
            failed.as_deref().unwrap_or("ok"),
            start.elapsed().as_millis()
        );
        outcome.map_err(|error| explain(&error, &request, &self.connection))
    }

    fn api<K: Namespaced>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Reads one object.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Forbidden`] and the rest of [`explain`].
    pub async fn get<K: Namespaced>(&self, namespace: &str, name: &str) -> Result<K> {
        path_segment(name)?;
        path_segment(namespace)?;
        self.send(
            request::<K>("get", namespace, name),
            self.api::<K>(namespace).get(name),
        )
        .await
    }

    /// Reads one object, or nothing where there is none.
    ///
    /// # Errors
    /// As [`Cluster::get`], without [`Kind::NotFound`].
    pub async fn find<K: Namespaced>(&self, namespace: &str, name: &str) -> Result<Option<K>> {
        match self.get(namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the objects with these labels (`a=b,c`; empty for all).
    ///
    /// # Errors
    /// See [`explain`].
    pub async fn list<K: Namespaced>(&self, namespace: &str, labels: &str) -> Result<Vec<K>> {
        path_segment(namespace)?;
        let params = ListParams::default().labels(labels);
        Ok(self
            .send(
                request::<K>("list", namespace, ""),
                self.api::<K>(namespace).list(&params),
            )
            .await?
            .items)
    }

    /// Reads all objects as the API server last knew them, at most moments ago. A list that must be right up to now makes it
    /// ask etcd for progress, and it asks at most every 100 ms: what comes next that needs the same (creating a Role lists
    /// RoleBindings, to check for escalation) would wait that long.
    ///
    /// # Errors
    /// See [`explain`].
    pub async fn list_as_cached<K: Namespaced>(&self, namespace: &str) -> Result<Vec<K>> {
        path_segment(namespace)?;
        let params = ListParams::default().match_any();
        Ok(self
            .send(
                request::<K>("list", namespace, ""),
                self.api::<K>(namespace).list(&params),
            )
            .await?
            .items)
    }

    /// Reads the objects with these labels in a namespace, or in all (`-A`).
    ///
    /// # Errors
    /// See [`explain`]; a namespace's owner gets [`Kind::Forbidden`] for all.
    pub async fn list_in<K: Namespaced>(
        &self,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<K>> {
        if let Some(namespace) = namespace {
            return self.list(namespace, labels).await;
        }
        let params = ListParams::default().labels(labels);
        let mut asked = request::<K>("list", "", "");
        asked.namespace = None;
        let everywhere = Api::<K>::all(self.client.clone());
        match self.send(asked, everywhere.list(&params)).await {
            Ok(list) => Ok(list.items),
            Err(error) if error.kind() == Kind::Forbidden => Err(error
                .without_hints()
                .hint("without `-A` you see those of your own namespace")),
            Err(error) => Err(error),
        }
    }

    /// How we write: under our own name.
    fn writing(&self, dry_run: bool) -> PostParams {
        PostParams {
            dry_run,
            field_manager: Some(self.manager.into()),
        }
    }

    /// Replaces an object that was read before; its resource version keeps changes of others safe.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where somebody changed it meanwhile; the rest of [`explain`].
    pub async fn replace<K: Namespaced>(
        &self,
        namespace: &str,
        object: &K,
        dry_run: bool,
    ) -> Result<K> {
        let params = self.writing(dry_run);
        let name = object.name_any();
        self.send(
            request::<K>("update", namespace, &name),
            self.api::<K>(namespace).replace(&name, &params, object),
        )
        .await
    }

    /// Creates an object that must not exist yet.
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`]; the rest of [`explain`].
    pub async fn create<K: Namespaced>(
        &self,
        namespace: &str,
        object: &K,
        dry_run: bool,
    ) -> Result<K> {
        let params = self.writing(dry_run);
        let name = object.name_any();
        self.send(
            request::<K>("create", namespace, &name),
            self.api::<K>(namespace).create(&params, object),
        )
        .await
    }

    /// Deletes an object and what it owns; `uid` keeps a newer object of the same name safe. False where there was none.
    ///
    /// # Errors
    /// See [`explain`].
    pub async fn delete<K: Namespaced>(
        &self,
        namespace: &str,
        name: &str,
        uid: Option<&str>,
        dry_run: bool,
    ) -> Result<bool> {
        path_segment(name)?;
        let params = DeleteParams {
            dry_run,
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: uid.map(|uid| Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match self
            .send(
                request::<K>("delete", namespace, name),
                self.api::<K>(namespace).delete(name, &params),
            )
            .await
        {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            // The name belongs to a newer object: ours is gone.
            Err(error) if error.kind() == Kind::Conflict && uid.is_some() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Posts a review of the API groups that answer questions (nothing is stored).
    async fn review<K>(&self, api: Api<K>, review: &K, namespace: Option<&str>) -> Result<K>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
    {
        let asked = Request {
            verb: "create",
            resource: K::plural(&()).into_owned(),
            noun: K::kind(&()).to_lowercase(),
            name: "",
            namespace,
        };
        self.send(asked, api.create(&PostParams::default(), review))
            .await
    }

    /// Who the API server takes us for; nothing on servers before 1.28, which cannot tell.
    ///
    /// # Errors
    /// See [`explain`].
    pub async fn identity(&self) -> Result<Option<Identity>> {
        let review = SelfSubjectReview::default();
        match self
            .review(Api::all(self.client.clone()), &review, None)
            .await
        {
            Ok(review) => {
                let user = review
                    .status
                    .and_then(|status| status.user_info)
                    .unwrap_or_default();
                Ok(Some(Identity {
                    username: user.username.unwrap_or_default(),
                    groups: user.groups.unwrap_or_default(),
                }))
            }
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Forbidden) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `None` for what one may not read, or what is not served: whoever can do without goes on.
///
/// # Errors
/// Every other failure.
pub fn if_allowed<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(error)
            if matches!(
                error.kind(),
                Kind::Forbidden | Kind::NotFound | Kind::NotServed
            ) =>
        {
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// Describes a request for an object of type `K`.
fn request<'a, K: Namespaced>(
    verb: &'static str,
    namespace: &'a str,
    name: &'a str,
) -> Request<'a> {
    Request {
        verb,
        resource: K::plural(&()).into_owned(),
        noun: K::kind(&()).to_lowercase(),
        name,
        namespace: Some(namespace),
    }
}

/// Refuses what would leave its place in a URL's path; kube puts names there as they are.
fn path_segment(text: &str) -> Result<()> {
    let fits = !text.is_empty()
        && text.len() <= 253
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':'));
    if fits && text != "." && text != ".." {
        return Ok(());
    }
    Err(Error::usage(format!(
        "`{}` cannot be the name of anything in Kubernetes",
        crate::printable::short(text, 80)
    )))
}

//! Following objects: what there is, then every change as the API server learns of it.
//!
//! What is read is a narrow type of the caller's own, not the whole of an object: a second decoder for all of a pod's definition
//! is a fifth of a megabyte. Where watching is not allowed, the list is read again every second.

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use kube::api::{ListParams, WatchEvent, WatchParams};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{Cluster, Namespaced, path_segment};
use crate::error::{Error, Kind, Request, Result};
use crate::printable;

/// How often a list is read again where it cannot be watched.
const POLL: Duration = Duration::from_secs(1);
/// How long to wait after a failure before trying again.
const PAUSE: Duration = Duration::from_millis(500);
/// For how long failures in a row are borne: an API server that is started anew takes as long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the API server may keep one watch open, in seconds.
const WATCH_SECONDS: u32 = 290;

/// An object as far as following it needs it.
pub trait Versioned: Clone + DeserializeOwned + Send + 'static {
    /// Its resource version.
    fn version(&self) -> &str;
}

/// Which objects of a kind.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// `a=b,c`; empty for all.
    pub labels: String,
    /// `metadata.name=web`; empty for all.
    pub fields: String,
}

impl Selection {
    /// The one of this name.
    pub fn named(name: &str) -> Self {
        Self {
            fields: format!("metadata.name={name}"),
            ..Self::default()
        }
    }

    /// Those with these labels.
    pub fn labelled(labels: String) -> Self {
        Self {
            labels,
            ..Self::default()
        }
    }
}

/// Objects of one kind in one namespace, without the kind as a type: what is done with them is compiled once.
#[derive(Clone, Debug)]
struct Objects {
    namespace: String,
    url: String,
    resource: String,
    noun: String,
    selection: Selection,
}

impl Objects {
    fn of<K: Namespaced>(namespace: &str, selection: &Selection) -> Result<Self> {
        path_segment(namespace)?;
        Ok(Self {
            namespace: namespace.to_owned(),
            url: K::url_path(&(), Some(namespace)),
            resource: K::plural(&()).into_owned(),
            noun: K::kind(&()).to_lowercase(),
            selection: selection.clone(),
        })
    }

    fn request(&self, verb: &'static str) -> Request<'_> {
        Request {
            verb,
            resource: self.resource.clone(),
            noun: self.noun.clone(),
            name: "",
            namespace: Some(&self.namespace),
        }
    }

    fn list_params(&self) -> ListParams {
        ListParams::default()
            .labels(&self.selection.labels)
            .fields(&self.selection.fields)
    }
}

/// A change of what is followed.
#[derive(Clone, Debug)]
pub enum Delta<T> {
    /// These are all there are: at the start, and after a gap.
    All(Vec<T>),
    /// This one is new or different.
    Put(T),
    /// This one is gone; it is shown as it was last.
    Gone(T),
}

#[derive(Debug, Deserialize)]
struct ListOf<T> {
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<T>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
}

#[derive(Debug, Deserialize)]
struct NamedObject {
    metadata: NamedMeta,
}

#[derive(Debug, Deserialize)]
struct NamedMeta {
    name: String,
}

type Events<T> = BoxStream<'static, Result<WatchEvent<T>, kube::Error>>;

/// Where following stands.
enum Phase<T> {
    List,
    Open(String),
    Watching(String, Events<T>),
    Poll,
    Over,
}

impl Cluster {
    /// Reads objects as a type of one's own.
    ///
    /// # Errors
    /// See [`crate::error::explain`].
    pub async fn list_seen<K: Namespaced, T: DeserializeOwned>(
        &self,
        namespace: &str,
        selection: &Selection,
    ) -> Result<Vec<T>> {
        let target = Objects::of::<K>(namespace, selection)?;
        Ok(self.list_versioned(&target).await?.1)
    }

    /// The names of all objects of a kind; their contents are not sent.
    ///
    /// # Errors
    /// See [`crate::error::explain`].
    pub async fn list_names<K: Namespaced>(&self, namespace: &str) -> Result<Vec<String>> {
        let target = Objects::of::<K>(namespace, &Selection::default())?;
        let list = kube::core::Request::new(&target.url)
            .list_metadata(&target.list_params())
            .map_err(|error| unbuildable(&error))?;
        let list = self
            .send(
                target.request("list"),
                self.client.request::<ListOf<NamedObject>>(list),
            )
            .await?;
        Ok(list
            .items
            .into_iter()
            .map(|item| item.metadata.name)
            .collect())
    }

    async fn list_versioned<T: DeserializeOwned>(
        &self,
        target: &Objects,
    ) -> Result<(String, Vec<T>)> {
        let list = kube::core::Request::new(&target.url)
            .list(&target.list_params())
            .map_err(|error| unbuildable(&error))?;
        let list = self
            .send(
                target.request("list"),
                self.client.request::<ListOf<T>>(list),
            )
            .await?;
        Ok((list.metadata.resource_version, list.items))
    }

    /// Follows objects of kind `K`, read as `T`. It ends only with an error: when the first list is refused, or after half a minute of
    /// failures. Dropping it closes the watch.
    ///
    /// # Errors
    /// A namespace that can be none.
    pub fn follow<K: Namespaced, T: Versioned>(
        &self,
        namespace: &str,
        selection: &Selection,
    ) -> Result<BoxStream<'static, Result<Delta<T>>>> {
        let follower = Follower {
            cluster: self.clone(),
            target: Objects::of::<K>(namespace, selection)?,
            worked: None,
        };
        Ok(follower.changes())
    }
}

struct Follower {
    cluster: Cluster,
    target: Objects,
    /// When it worked last; nothing before it has ever worked.
    worked: Option<Instant>,
}

impl Follower {
    fn changes<T: Versioned>(self) -> BoxStream<'static, Result<Delta<T>>> {
        stream::unfold((self, Phase::List), async |(mut follower, state)| {
            let (item, state) = follower.next::<T>(state).await?;
            Some((item, (follower, state)))
        })
        .boxed()
    }

    /// The next change, and where it leaves us.
    async fn next<T: Versioned>(
        &mut self,
        mut state: Phase<T>,
    ) -> Option<(Result<Delta<T>>, Phase<T>)> {
        loop {
            state = match state {
                Phase::Over => return None,
                Phase::List => match self.list().await {
                    Ok((version, items)) => {
                        return Some((Ok(Delta::All(items)), Phase::Open(version)));
                    }
                    Err(Some(error)) => return Some((Err(error), Phase::Over)),
                    Err(None) => Phase::List,
                },
                Phase::Poll => {
                    tokio::time::sleep(POLL).await;
                    match self.list().await {
                        Ok((_, items)) => return Some((Ok(Delta::All(items)), Phase::Poll)),
                        Err(Some(error)) => return Some((Err(error), Phase::Over)),
                        Err(None) => Phase::Poll,
                    }
                }
                Phase::Open(version) => match self.open(&version).await {
                    Ok(events) => Phase::Watching(version, events),
                    Err(error) if error.kind() == Kind::Forbidden => Phase::Poll,
                    Err(_) => {
                        tokio::time::sleep(PAUSE).await;
                        Phase::List
                    }
                },
                Phase::Watching(version, mut events) => match self.event(&mut events).await {
                    Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                        let version = object.version().to_owned();
                        return Some((Ok(Delta::Put(object)), Phase::Watching(version, events)));
                    }
                    Some(Ok(WatchEvent::Deleted(object))) => {
                        let version = object.version().to_owned();
                        return Some((Ok(Delta::Gone(object)), Phase::Watching(version, events)));
                    }
                    Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                        Phase::Watching(bookmark.metadata.resource_version, events)
                    }
                    // The usual end of a watch.
                    None => Phase::Open(version),
                    // It is too old to go on from, or the connection broke.
                    Some(Ok(WatchEvent::Error(_)) | Err(_)) => Phase::List,
                },
            };
        }
    }

    /// The next word of a watch.
    async fn event<T>(
        &mut self,
        events: &mut Events<T>,
    ) -> Option<Result<WatchEvent<T>, kube::Error>> {
        let event = events.next().await;
        self.worked = Some(Instant::now());
        event
    }

    /// What there is now; no error for one that may pass.
    async fn list<T: Versioned>(&mut self) -> Result<(String, Vec<T>), Option<Error>> {
        match self.cluster.list_versioned(&self.target).await {
            Ok(list) => {
                self.worked = Some(Instant::now());
                Ok(list)
            }
            // One that has just been started also says no for a moment, until it knows the rights.
            Err(error)
                if matches!(error.kind(), Kind::Unreachable | Kind::Forbidden)
                    && self
                        .worked
                        .is_some_and(|worked| worked.elapsed() < PATIENCE) =>
            {
                tokio::time::sleep(PAUSE).await;
                Err(None)
            }
            Err(error) => Err(Some(error)),
        }
    }

    async fn open<T: Versioned>(&self, version: &str) -> Result<Events<T>> {
        let params = WatchParams::default()
            .labels(&self.target.selection.labels)
            .fields(&self.target.selection.fields)
            .timeout(WATCH_SECONDS);
        let watch = kube::core::Request::new(&self.target.url)
            .watch(&params, version)
            .map_err(|error| unbuildable(&error))?;
        let events = self
            .cluster
            .send(
                self.target.request("watch"),
                self.cluster.client.request_events::<T>(watch),
            )
            .await?;
        Ok(events.boxed())
    }
}

fn unbuildable(error: &kube::core::request::Error) -> Error {
    Error::new("cannot put a request together").caused_by(printable::short(&error.to_string(), 200))
}

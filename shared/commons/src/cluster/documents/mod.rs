//! Objects of any kind as documents: read, applied on the server's side, deleted.
//!
//! For common kinds the path is known here and needs no discovery; for the others one request tells it.

mod content;
mod kinds;
mod refusal;
mod takeover;

use http::Request as HttpRequest;
use kube::api::{
    DeleteParams, GetParams, Patch, PatchParams, Preconditions, PropagationPolicy,
    ValidationDirective,
};
use kube::core::Request as Route;
use serde_json::Value;

use super::{Cluster, path_segment};
use content::same;
use kinds::{KNOWN, known_kind, text};
use refusal::{
    Conflict, Refusal, conflicts, explain_conflicts, not_of_its_form, others_conflict,
    schema_errors,
};
use takeover::taken_over;

use crate::apply::Outcome;
use crate::error::{Error, Kind, Request, Result};
use crate::printable;
pub use content::says_already;
pub use kinds::{group, known_resource, name, reference};
pub use refusal::Remedy;

/// `kubectl apply` without `--server-side` manages fields under this name.
pub const CLIENT_SIDE_APPLY: &str = "kubectl-client-side-apply";

/// How documents are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Writing<'a> {
    /// Take fields that other managers have set.
    pub force: bool,
    /// Let the server check it, and store nothing.
    pub dry_run: bool,
    /// Field managers that were earlier forms of this one: their fields become ours, so that what the document no longer holds
    /// goes, as if we had always written it.
    pub takes_over: &'a [&'a str],
}

/// Where an object is: what a request needs.
struct Place {
    route: Route,
    resource: String,
    noun: String,
    name: String,
    namespace: Option<String>,
}

impl Place {
    fn asked(&self, verb: &'static str) -> Request<'_> {
        Request {
            verb,
            resource: self.resource.clone(),
            noun: self.noun.clone(),
            name: &self.name,
            namespace: self.namespace.as_deref(),
        }
    }
}

impl Cluster {
    /// Finds the path of an object.
    async fn place(&self, document: &Value, namespace: &str) -> Result<Place> {
        let api_version = text(document, "apiVersion");
        let (kind, name) = (text(document, "kind"), name(document));
        for segment in [kind, name, namespace] {
            path_segment(segment)?;
        }
        for part in api_version.split('/') {
            path_segment(part)?;
        }
        let group = group(api_version);
        // A version that is not the usual one may be gone.
        let known = KNOWN
            .iter()
            .find(|known| known.1 == kind && kinds::version(known) == api_version);
        let (resource, namespaced) = match known {
            Some(known) => (known.2.to_owned(), known.3),
            None => self.discover(api_version, kind).await?,
        };
        let root = if group.is_empty() { "api" } else { "apis" };
        let within = if namespaced {
            format!("/namespaces/{namespace}")
        } else {
            String::new()
        };
        Ok(Place {
            route: Route::new(format!("/{root}/{api_version}{within}/{resource}")),
            resource,
            noun: kind.to_lowercase(),
            name: name.to_owned(),
            namespace: namespaced.then(|| namespace.to_owned()),
        })
    }

    /// Asks for the resource of a kind, and whether it lives in a namespace.
    async fn discover(&self, api_version: &str, kind: &str) -> Result<(String, bool)> {
        let missing = || {
            Error::of(
                Kind::NotFound,
                format!(
                    "this cluster does not know `{}` of `{}`",
                    printable::short(kind, 80),
                    printable::short(api_version, 80)
                ),
            )
            .hint(match known_kind(api_version, kind) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "see which it knows: `kubectl api-resources`".to_owned(),
            })
        };
        let root = if group(api_version).is_empty() {
            "api"
        } else {
            "apis"
        };
        let asked = Request {
            verb: "get",
            resource: format!("the kinds of {api_version}"),
            noun: "API group".into(),
            name: api_version,
            namespace: None,
        };
        let request = HttpRequest::get(format!("/{root}/{api_version}"))
            .body(Vec::new())
            .map_err(unsendable)?;
        // A group that is not there is answered with a bare page, which is no answer of an API to kube.
        let list = self
            .send(asked, async {
                match self.client.request::<Value>(request).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => Ok(Value::Null),
                    answer => answer,
                }
            })
            .await?;
        list["resources"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|resource| {
                text(resource, "kind") == kind && !text(resource, "name").contains('/')
            })
            .map(|resource| {
                (
                    text(resource, "name").to_owned(),
                    resource["namespaced"].as_bool().unwrap_or(true),
                )
            })
            .ok_or_else(missing)
    }

    /// Sends a request that was put together by hand.
    async fn ask(
        &self,
        asked: Request<'_>,
        request: Result<HttpRequest<Vec<u8>>, impl std::error::Error + Send + Sync + 'static>,
    ) -> Result<Value> {
        let request = request.map_err(unsendable)?;
        self.send(asked, self.client.request::<Value>(request))
            .await
    }

    /// Reads the object that a document names; nothing where there is none.
    ///
    /// # Errors
    /// A kind that the cluster does not know; the rest of [`crate::error::explain`].
    pub async fn get_document(&self, document: &Value, namespace: &str) -> Result<Option<Value>> {
        let place = self.place(document, namespace).await?;
        let request = place.route.get(&place.name, &GetParams::default());
        match self.ask(place.asked("get"), request).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads all objects of a kind with these labels (empty for all).
    ///
    /// # Errors
    /// As [`Cluster::get_document`].
    pub async fn list_documents(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<Value>> {
        let any = serde_json::json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "any"}});
        let mut place = self.place(&any, namespace).await?;
        place.name.clear();
        let request = place
            .route
            .list(&kube::api::ListParams::default().labels(labels));
        let mut list = self.ask(place.asked("list"), request).await?;
        match list["items"].take() {
            Value::Array(mut items) => {
                // Items of a list do not say what they are.
                for item in items.iter_mut().filter_map(Value::as_object_mut) {
                    item.insert("apiVersion".into(), api_version.into());
                    item.insert("kind".into(), kind.into());
                }
                Ok(items)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Applies a document on the server's side under this plugin's name, and tells what became of it and how it is then;
    /// `before` is what [`Cluster::get_document`] has read. Fields of others stay as they are. Where there was nothing it is
    /// created: applying would silently join in with whoever was faster.
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] where there was nothing and is something now; [`Kind::Conflict`] naming the other managers and their fields, unless forced; a field that the kind does not have; the
    /// rest of [`crate::error::explain`].
    pub async fn apply_document(
        &self,
        document: &Value,
        namespace: &str,
        before: Option<&Value>,
        writing: Writing<'_>,
    ) -> Result<(Outcome, Value)> {
        let place = self.place(document, namespace).await?;
        let mut force = writing.force;
        if let Some(there) = before
            && let Some(fields) = taken_over(there, self.manager(), writing.takes_over)
        {
            if writing.dry_run {
                // Whose fields they would be cannot be tried out; taking them comes to the same but for what is removed.
                force |= !others_conflict(
                    &self.try_apply(&place, document, writing, false).await?,
                    writing.takes_over,
                );
            } else {
                self.take_over(&place, there, fields).await?;
            }
        }
        let tried = match before {
            Some(_) => self.try_apply(&place, document, writing, force).await?,
            None => self
                .try_apply(&place, &only_new(document), writing, force)
                .await
                .map_err(|error| explain_overtaken(error, &place))?,
        };
        match tried {
            Ok(after) => {
                let outcome = match before {
                    None => Outcome::Created,
                    Some(before) if same(before, &after) => Outcome::Unchanged,
                    Some(_) => Outcome::Configured,
                };
                Ok((outcome, after))
            }
            Err(conflicts) => Err(explain_conflicts(&place, &conflicts)),
        }
    }

    async fn try_apply(
        &self,
        place: &Place,
        document: &Value,
        writing: Writing<'_>,
        force: bool,
    ) -> Result<Result<Value, Vec<Conflict>>> {
        let params = PatchParams {
            dry_run: writing.dry_run,
            force,
            field_manager: Some(self.manager().into()),
            field_validation: Some(ValidationDirective::Strict),
        };
        let request = place
            .route
            .patch(&place.name, &params, &Patch::Apply(document))
            .map_err(unsendable)?;
        let work = async {
            match self.client.request::<Value>(request).await {
                Ok(after) => Ok(Ok(after)),
                Err(kube::Error::Api(status)) => match conflicts(&status) {
                    Some(conflicts) => Ok(Err(Refusal::Conflicts(conflicts))),
                    None => match schema_errors(&status.message, &place.noun) {
                        Some(wrong) => Ok(Err(Refusal::Schema(wrong))),
                        None => Err(kube::Error::Api(status)),
                    },
                },
                Err(error) => Err(error),
            }
        };
        match self.send(place.asked("patch"), work).await? {
            Ok(after) => Ok(Ok(after)),
            Err(Refusal::Conflicts(conflicts)) => Ok(Err(conflicts)),
            Err(Refusal::Schema(wrong)) => Err(not_of_its_form(place, wrong)),
        }
    }

    /// Makes the fields of other managers ours, as `kubectl apply --server-side` does with those of `kubectl apply`.
    async fn take_over(&self, place: &Place, there: &Value, fields: Vec<Value>) -> Result<()> {
        let patch = serde_json::json!({"metadata": {"managedFields": fields, "resourceVersion": there["metadata"]["resourceVersion"]}});
        let params = PatchParams {
            field_manager: Some(self.manager().into()),
            ..PatchParams::default()
        };
        let request = place
            .route
            .patch(&place.name, &params, &Patch::Merge(patch));
        self.ask(place.asked("patch"), request).await.map(drop)
    }

    /// Deletes an object and what it owns; a UID in the document keeps a newer object of the same name safe. False where there
    /// was none.
    ///
    /// # Errors
    /// As [`Cluster::get_document`].
    pub async fn delete_document(
        &self,
        document: &Value,
        namespace: &str,
        dry_run: bool,
    ) -> Result<bool> {
        let place = self.place(document, namespace).await?;
        let uid = document["metadata"]["uid"].as_str();
        let params = DeleteParams {
            dry_run,
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: uid.map(|uid| Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let request = place.route.delete(&place.name, &params);
        match self.ask(place.asked("delete"), request).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            Err(error) if error.kind() == Kind::Conflict && uid.is_some() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A document that only creates: no object has this version, so the API server applies it where there is none and refuses it
/// where there is one.
fn only_new(document: &Value) -> Value {
    let mut document = document.clone();
    document["metadata"]["resourceVersion"] = "1".into();
    document
}

/// Somebody else has created the object between looking and writing.
fn explain_overtaken(error: Error, place: &Place) -> Error {
    if error.kind() != Kind::Conflict {
        return error;
    }
    Error::of(
        Kind::AlreadyExists,
        format!(
            "{} `{}` was just created by another client",
            place.noun,
            printable::line(&place.name)
        ),
    )
    .hint("look what it is, and run the command again if it is what you want to change")
}

fn unsendable(error: impl std::error::Error) -> Error {
    Error::new("cannot put a request together").caused_by(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_new_joins_nothing() {
        let new = only_new(&json!({"metadata": {"name": "web"}}));
        assert_eq!(new["metadata"]["resourceVersion"], "1");
    }
}

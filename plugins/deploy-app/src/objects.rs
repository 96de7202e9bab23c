//! Which objects are ours, and what they are known by.

use commons::{Cluster, Error, Result, printable};
use k8s_openapi::api::apps::v1::Deployment;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The field manager, and the value of the label `app.kubernetes.io/managed-by` of all that this plugin makes.
pub const MANAGER: &str = exposure::DEPLOY_APP;
/// The field manager of what is deployed from files: what a file no longer says goes, and what was said by flags does not.
pub const MANAGER_OF_FILES: &str = "kubectl-deploy-app-files";
/// The label with the app's name.
pub const NAME: &str = "app.kubernetes.io/name";
/// In the place of a value in a printed Secret; not base64, so that it cannot be applied by mistake.
pub const PLACEHOLDER: &str = "<put the value here, in base64>";
/// The roles that allow deploying.
pub const ROLES: &str = "`edit` or `admin`";

/// Whether a Deployment was deployed from files.
pub fn is_from_files(deployment: &Deployment) -> bool {
    let managers = deployment.metadata.managed_fields.iter().flatten();
    managers
        .filter_map(|fields| fields.manager.as_deref())
        .any(|manager| manager == MANAGER_OF_FILES)
}

/// The name of the ConfigMap with the files of `--config`.
pub fn files_name(app: &str) -> String {
    format!("{app}-files")
}

/// The objects of an app by name as the API server has them, by their place in it.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    pub deployment: Option<Value>,
    pub service: Option<Value>,
    pub config: Option<Value>,
    pub files: Option<Value>,
    pub secret: Option<Value>,
}

impl Documents {
    /// Reads them all, whoever has made them.
    ///
    /// # Errors
    /// When one of them may not be read.
    pub async fn read(cluster: &Cluster, name: &str) -> Result<Self> {
        let get = async |api_version: &str, kind: &str, name: &str| {
            let document =
                json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
            cluster.get_document(&document, cluster.namespace()).await
        };
        let files = files_name(name);
        let (deployment, service, config, files, secret) = futures::try_join!(
            get("apps/v1", "Deployment", name),
            get("v1", "Service", name),
            get("v1", "ConfigMap", name),
            get("v1", "ConfigMap", &files),
            get("v1", "Secret", name)
        )?;
        Ok(Self {
            deployment,
            service,
            config,
            files,
            secret,
        })
    }

    /// What there is in the place of a document.
    pub fn like(&self, document: &Value) -> Option<&Value> {
        let all = [
            &self.deployment,
            &self.service,
            &self.config,
            &self.files,
            &self.secret,
        ];
        let is_it = |there: &&Value| {
            there["kind"] == document["kind"]
                && there["metadata"]["name"] == document["metadata"]["name"]
        };
        all.into_iter().flatten().find(is_it)
    }

    /// Those that there are, what runs first.
    pub fn into_all(self) -> impl Iterator<Item = Value> {
        let all = [
            self.deployment,
            self.service,
            self.config,
            self.files,
            self.secret,
        ];
        all.into_iter().flatten()
    }
}

/// An object of the API server as its type.
///
/// # Errors
/// Where it is not of its form.
pub fn typed<K: DeserializeOwned>(document: Option<&Value>) -> Result<Option<K>> {
    document
        .map(|document| serde_json::from_value(document.clone()))
        .transpose()
        .map_err(|error| {
            Error::new("the API server answers with an object that cannot be read")
                .caused_by(printable::short(&error.to_string(), 200))
        })
}

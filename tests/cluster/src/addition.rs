//! What a node can have beyond the stock: built, started and installed only when asked for.

use std::{fmt, time::Duration};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    api::Api,
    components::Component,
    error::{Error, Result},
    images::CNPG_MANAGER,
    programs::Program,
    progress::Progress,
    wait,
};

/// A part of the node that not every test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addition {
    /// Traefik as the default `IngressClass`, with a certificate for `*.kub.example.test`.
    Ingress,
    /// The `CloudNativePG` operator and volumes for its databases.
    Cnpg,
}

impl Addition {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Cnpg => "cnpg",
        }
    }

    /// The component it adds to the node, if any.
    pub(crate) fn component(self) -> Option<Component> {
        match self {
            Self::Ingress => Some(Component::Traefik),
            Self::Cnpg => None,
        }
    }

    /// Programs to build before it can be put on a node.
    pub(crate) fn programs(self) -> &'static [Program] {
        match self {
            Self::Ingress => &[Program::Traefik],
            Self::Cnpg => &[Program::CnpgManager],
        }
    }

    /// Writes its objects and waits until it works.
    pub(crate) fn install(self, api: &Api, progress: &Progress) -> Result<()> {
        match self {
            Self::Ingress => api
                .create(
                    "/apis/networking.k8s.io/v1/ingressclasses",
                    &ingress_class(),
                )
                .map(drop),
            Self::Cnpg => install_cnpg(api, progress),
        }
    }
}

impl fmt::Display for Addition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn ingress_class() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "traefik", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": "traefik.io/ingress-controller"},
    })
}

fn install_cnpg(api: &Api, progress: &Progress) -> Result<()> {
    progress.doing("installing CloudNativePG");
    for mut object in Program::CnpgManager.objects(progress)? {
        use_own_image(&mut object);
        let path = path_of(&object)?;
        api.apply(&path, &object)?;
    }
    wait::until(
        "the CloudNativePG operator is available",
        Duration::from_mins(1),
        || {
            let deployment = api
                .get("/apis/apps/v1/namespaces/cnpg-system/deployments/cnpg-controller-manager")?;
            Ok(deployment
                .filter(|deployment| deployment["status"]["availableReplicas"].as_u64() >= Some(1)))
        },
    )?;
    let probe = json!({
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "probe", "namespace": "default"},
        "spec": {"instances": 1, "storage": {"size": "1Gi"}},
    });
    // They must answer, or the first Cluster is refused.
    wait::until_ok(
        "the CloudNativePG webhooks answer",
        Duration::from_secs(30),
        || {
            api.create(
                "/apis/postgresql.cnpg.io/v1/namespaces/default/clusters?dryRun=All",
                &probe,
            )
        },
    )
    .map(drop)
}

/// Both places where the release names its own image.
fn use_own_image(object: &mut Value) {
    if object["kind"] != "Deployment" {
        return;
    }
    for container in object["spec"]["template"]["spec"]["containers"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        container["image"] = json!(CNPG_MANAGER);
        container["imagePullPolicy"] = json!("IfNotPresent");
        for variable in container["env"].as_array_mut().into_iter().flatten() {
            if variable["name"] == "OPERATOR_IMAGE_NAME" {
                variable["value"] = json!(CNPG_MANAGER);
            }
        }
    }
}

/// Where the API keeps an object of the kinds that releases consist of.
fn path_of(object: &Value) -> Result<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind, name) = (
        text(&object["apiVersion"]),
        text(&object["kind"]),
        text(&object["metadata"]["name"]),
    );
    let plural = match kind.as_str() {
        "Namespace" => "namespaces",
        "CustomResourceDefinition" => "customresourcedefinitions",
        "ServiceAccount" => "serviceaccounts",
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        "Role" => "roles",
        "RoleBinding" => "rolebindings",
        "ConfigMap" => "configmaps",
        "Secret" => "secrets",
        "Service" => "services",
        "Deployment" => "deployments",
        "MutatingWebhookConfiguration" => "mutatingwebhookconfigurations",
        "ValidatingWebhookConfiguration" => "validatingwebhookconfigurations",
        other => {
            return Err(Error::new(format!(
                "no path is known for objects of kind {other}"
            )));
        }
    };
    let root = if version.contains('/') {
        format!("/apis/{version}")
    } else {
        format!("/api/{version}")
    };
    Ok(match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("{root}/{plural}/{name}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_group_and_the_namespace() {
        let path = |object: Value| path_of(&object).unwrap();
        assert_eq!(
            path(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}})),
            "/api/v1/namespaces/a"
        );
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r", "namespace": "n"}});
        assert_eq!(
            path(role),
            "/apis/rbac.authorization.k8s.io/v1/namespaces/n/roles/r"
        );
    }

    #[test]
    fn the_operator_runs_from_the_own_image_in_both_places() {
        let mut deployment = json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [
            {"image": "x", "env": [{"name": "OPERATOR_IMAGE_NAME", "value": "x"}, {"name": "A", "value": "x"}]},
        ]}}}});
        use_own_image(&mut deployment);
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], CNPG_MANAGER);
        assert_eq!(container["env"][0]["value"], CNPG_MANAGER);
        assert_eq!(container["env"][1]["value"], "x");
    }
}

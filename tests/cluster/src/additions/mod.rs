//! What a node can have beyond the stock: built, installed and proven only when asked for.

mod cert_manager;
mod cnpg;
mod gateway;
mod haproxy;
mod ingress;
mod keycloak;
mod manifest;

use std::{fmt, time::Duration};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    api::Api,
    certificates::Identity,
    components::{Component, Setup},
    error::Result,
    layout::Layout,
    programs::Program,
    progress::Progress,
    wait,
};

/// How long a controller may take until it is available. Generous: the machine may be building something beside it.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long the API server may take to serve a kind after its definition: it takes 2 s.
const SERVED: Duration = Duration::from_secs(20);

/// Where the API keeps definitions of further kinds.
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A part of the node that not every test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addition {
    /// Traefik as the default `IngressClass`, with a certificate for `*.kub.example.test`.
    Ingress,
    /// The Gateway API through the same Traefik, with a shared `Gateway` for `*.gw.example.test`.
    Gateway,
    /// cert-manager with the `ClusterIssuers` `ca`, `broken` and `acme-broken`.
    CertManager,
    /// A second ingress controller, with the `IngressClass` `haproxy` and a certificate for `*.haproxy.example.test`.
    Haproxy,
    /// The `CloudNativePG` operator and volumes for its databases.
    Cnpg,
    /// Keycloak as the issuer of tokens to log in with, and `kubectl oidc-login`.
    Keycloak,
}

/// The node that additions are put on.
pub(crate) struct Site<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) api: &'a Api,
    pub(crate) progress: &'a Progress,
    /// Everything that will be on the node.
    pub(crate) with: &'a [Addition],
}

impl Addition {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Gateway => "gateway",
            Self::CertManager => "cert-manager",
            Self::Haproxy => "haproxy",
            Self::Cnpg => "cnpg",
            Self::Keycloak => "keycloak",
        }
    }

    /// These additions and those they rest on, each once, in the order they are installed in.
    pub(crate) fn complete(wanted: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut all: Vec<_> = wanted
            .into_iter()
            .flat_map(|addition| match addition {
                Self::Gateway => vec![Self::Ingress, addition],
                _ => vec![addition],
            })
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Programs to build before it can be put on a node.
    pub(crate) fn programs(self) -> &'static [Program] {
        match self {
            Self::Ingress | Self::Gateway => &[Program::Traefik],
            Self::CertManager => &[Program::CertManager],
            Self::Haproxy => &[Program::HaproxyIngress],
            Self::Cnpg => &[Program::CnpgManager],
            Self::Keycloak => &[Program::Kubelogin],
        }
    }

    /// The processes of the node that it consists of.
    pub(crate) fn components(self) -> &'static [Component] {
        match self {
            Self::Keycloak => &[Component::Keycloak],
            _ => &[],
        }
    }

    /// The Deployments it consists of: namespace, name.
    pub(crate) fn deployments(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Ingress => &[(ingress::NAMESPACE, "traefik")],
            Self::Gateway | Self::Keycloak => &[],
            Self::CertManager => &[("cert-manager", "cert-manager")],
            Self::Haproxy => &[("haproxy-controller", "haproxy-ingress")],
            Self::Cnpg => &[("cnpg-system", "cnpg-controller-manager")],
        }
    }

    /// Defines its kinds, which the API server serves a moment later.
    pub(crate) fn define(self, api: &Api, progress: &Progress) -> Result<()> {
        match self {
            Self::Gateway => gateway::define(api, progress),
            Self::CertManager => cert_manager::define(api, progress),
            Self::Ingress | Self::Haproxy | Self::Cnpg | Self::Keycloak => Ok(()),
        }
    }

    /// Writes its objects.
    pub(crate) fn install(self, site: &Site) -> Result<()> {
        match self {
            Self::Ingress => ingress::install(site),
            Self::Gateway => gateway::install(site),
            Self::CertManager => cert_manager::install(site),
            Self::Haproxy => haproxy::install(site),
            Self::Cnpg => cnpg::install(site),
            Self::Keycloak => Ok(()),
        }
    }

    /// Waits until it works.
    pub(crate) fn prove(self, site: &Site) -> Result<()> {
        for &(namespace, name) in self.deployments() {
            wait::until(&format!("{name} is available"), PATIENCE, || {
                Ok(is_available(site.api, namespace, name)?.then_some(()))
            })?;
        }
        match self {
            Self::Ingress => ingress::prove(site),
            Self::Gateway => gateway::prove(site),
            Self::CertManager => cert_manager::prove(site),
            Self::Haproxy => haproxy::prove(site),
            Self::Cnpg => cnpg::prove(site),
            Self::Keycloak => keycloak::prove(site),
        }
    }

    /// What of it is not as it should be on a node that was proven to work earlier.
    pub(crate) fn complaints(self, api: &Api) -> Result<Vec<String>> {
        let mut complaints = Vec::new();
        for &(namespace, name) in self.deployments() {
            if !is_available(api, namespace, name)? {
                complaints.push(format!("{name} is not available"));
            }
        }
        Ok(complaints)
    }
}

impl Site<'_> {
    /// The directory of a program as the node's own processes see it. Pods mount it: an image of it would take seconds to unpack.
    fn program_directory(&self, program: Program) -> Result<String> {
        let setup = Setup {
            layout: self.layout,
            progress: self.progress,
        };
        let path = setup.program(program)?;
        Ok(path
            .strip_suffix(&format!("/{}", program.name()))
            .unwrap_or(&path)
            .to_owned())
    }

    /// A certificate and its key, kept as `pki/NAME.crt`: an addition may be installed again, together with one that rests on it.
    fn identity(&self, name: &str, make: impl FnOnce() -> Result<Identity>) -> Result<Identity> {
        let directory = self.layout.path("pki");
        if let Some(identity) = Identity::read(&directory, name) {
            return Ok(identity);
        }
        let identity = make()?;
        identity.write(&directory, name)?;
        Ok(identity)
    }

    /// Writes the objects of a manifest of this crate.
    fn apply(&self, manifest: &str, values: &[(&str, &str)]) -> Result<()> {
        for object in manifest::read(manifest, values)? {
            let path = manifest::path_of(&object)?;
            // Kinds defined just now are served a moment later.
            wait::until_ok(&format!("{path} is written"), SERVED, || {
                self.api.apply(&path, &object)
            })?;
        }
        Ok(())
    }
}

/// Creates the definitions that the module of a program ships.
pub(crate) fn define(api: &Api, program: Program, progress: &Progress) -> Result<()> {
    let definitions: Vec<_> = program
        .objects(progress)?
        .into_iter()
        .filter(|object| object["kind"] == "CustomResourceDefinition")
        .map(|object| (DEFINITIONS.to_owned(), object))
        .collect();
    api.create_all(&definitions)
}

/// Whether a Deployment is there and all of it runs.
fn is_available(api: &Api, namespace: &str, name: &str) -> Result<bool> {
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
    Ok(api.get(&path)?.as_ref().is_some_and(is_rolled_out))
}

/// Whether the newest version of a Deployment is the one that runs, and no other.
fn is_rolled_out(deployment: &Value) -> bool {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && ["replicas", "updatedReplicas", "availableReplicas"]
            .iter()
            .all(|count| status[count] == spec["replicas"])
}

impl fmt::Display for Addition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_addition_rests_on_comes_first_and_once() {
        assert_eq!(
            Addition::complete([Addition::Cnpg, Addition::Gateway, Addition::Ingress]),
            [Addition::Ingress, Addition::Gateway, Addition::Cnpg]
        );
        assert_eq!(
            Addition::complete([Addition::Gateway]),
            [Addition::Ingress, Addition::Gateway]
        );
        assert_eq!(Addition::complete([Addition::Cnpg]), [Addition::Cnpg]);
    }

    #[test]
    fn a_deployment_is_rolled_out_when_only_the_newest_runs() {
        let deployment = |generation: u64, replicas: u64, updated: u64, available: Option<u64>| {
            let mut deployment = json!({
                "metadata": {"generation": 2},
                "spec": {"replicas": 1},
                "status": {"observedGeneration": generation, "replicas": replicas, "updatedReplicas": updated},
            });
            if let Some(available) = available {
                deployment["status"]["availableReplicas"] = json!(available);
            }
            deployment
        };
        assert!(is_rolled_out(&deployment(2, 1, 1, Some(1))));
        for (case, why) in [
            (deployment(1, 1, 1, Some(1)), "not looked at yet"),
            (deployment(2, 2, 1, Some(2)), "an older pod still runs"),
            (deployment(2, 1, 0, Some(1)), "the newest was not started"),
            (deployment(2, 1, 1, None), "it is not ready"),
        ] {
            assert!(!is_rolled_out(&case), "{why}");
        }
    }

    #[test]
    fn names_are_the_same_on_the_command_line_and_in_records() {
        for &addition in Addition::value_variants() {
            let possible = addition.to_possible_value().unwrap();
            assert_eq!(possible.get_name(), addition.name());
            assert_eq!(serde_json::to_value(addition).unwrap(), addition.name());
        }
    }
}

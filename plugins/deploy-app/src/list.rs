//! `deploy-app list`: what runs, and where.

use std::time::Duration;

use commons::apply::is_ours;
use commons::cli::Context;
use commons::output::{self, ListFlags, Listed};
use commons::{Result, duration};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use serde::Serialize;

use crate::expose;
use crate::objects::{MANAGER, is_from_files};
use crate::remedy;
use crate::settings::own_container;
use crate::write::Written;

/// List the apps that were deployed with this command
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    list: ListFlags,
}

/// An app, as it is listed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    pub namespace: String,
    pub name: String,
    pub image: String,
    /// How many pods are ready, of how many.
    pub ready: i32,
    pub replicas: i32,
    /// Whether it was deployed from files (`-f`).
    pub from_files: bool,
    /// The port that it listens on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// The address inside of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The address from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(skip)]
    age: String,
}

impl App {
    /// From its Deployment, by the API server's clock.
    pub fn new(deployment: &Deployment, now: Option<Timestamp>) -> Self {
        let name = deployment.name_any();
        let namespace = deployment.namespace().unwrap_or_default();
        let spec = deployment.spec.as_ref();
        let container = spec
            .and_then(|spec| spec.template.spec.as_ref())
            .and_then(|pod| own_container(&name, pod));
        let port = container
            .and_then(|container| container.ports.iter().flatten().next())
            .map(|port| port.container_port);
        let from_files = is_from_files(deployment);
        let created = deployment.creation_timestamp().map(|time| time.0);
        let age = now.zip(created).map(|(now, created)| {
            let seconds = now.duration_since(created).as_secs().max(0);
            duration::rough(Duration::from_secs(seconds.unsigned_abs()))
        });
        Self {
            image: container
                .and_then(|container| container.image.clone())
                .unwrap_or_default(),
            ready: deployment
                .status
                .as_ref()
                .and_then(|status| status.ready_replicas)
                .unwrap_or(0),
            replicas: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            from_files,
            // What files call their Services, they know.
            service: port
                .filter(|_| !from_files)
                .map(|_| format!("http://{name}.{namespace}")),
            port,
            url: None,
            created: created.map(|time| format!("{time:.0}")),
            age: age.unwrap_or_default(),
            name,
            namespace,
        }
    }

    /// From what was just written.
    pub fn of(written: &[Written], namespace: &str) -> Option<Self> {
        let object = &written
            .iter()
            .find(|written| written.object["kind"] == "Deployment")?
            .object;
        let mut deployment: Deployment = serde_json::from_value(object.clone()).ok()?;
        deployment.metadata.namespace = Some(namespace.to_owned());
        Some(Self::new(&deployment, None))
    }
}

impl Listed for App {
    const KIND: &'static str = "App";

    const HEADERS: &'static [&'static str] = &["NAME", "IMAGE", "READY", "ADDRESS", "AGE"];
    const WIDE: &'static [&'static str] = &["PORT", "SERVICE", "FROM"];

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn cells(&self) -> Vec<String> {
        let address = self.url.clone().or_else(|| self.service.clone());
        vec![
            self.name.clone(),
            self.image.clone(),
            format!("{}/{}", self.ready, self.replicas),
            address.unwrap_or_default(),
            self.age.clone(),
            self.port.map(|port| port.to_string()).unwrap_or_default(),
            self.service.clone().unwrap_or_default(),
            if self.from_files { "files" } else { "flags" }.to_owned(),
        ]
    }

    fn name(&self) -> String {
        format!("deployment.apps/{}", self.name)
    }
}

pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let Context { cluster, ui, .. } = context;
    let namespace = args.list.namespace(cluster);
    let (deployments, addresses) = futures::join!(
        cluster.list_in::<Deployment>(namespace, ""),
        exposure::all(cluster, namespace)
    );
    let deployments = deployments?;
    // Without the right to read addresses, they are just not shown.
    let addresses = addresses.unwrap_or_default();
    let urls = expose::by_app(&addresses);
    let now = cluster.now();
    let apps: Vec<App> = deployments
        .iter()
        .filter(|deployment| is_ours(&deployment.metadata, MANAGER) || is_from_files(deployment))
        .map(|deployment| {
            let mut app = App::new(deployment, Some(now));
            app.url = urls
                .get(&(app.namespace.clone(), app.name.clone()))
                .cloned();
            app
        })
        .collect();
    let empty = namespace.map_or_else(
        || "Nothing is deployed with this command.".into(),
        |namespace| format!("Nothing is deployed with this command in namespace {namespace}."),
    );
    output::list_of(ui, args.list, &apps, &empty)?;
    let is_shown = |address: &&exposure::Exposure| {
        let mut urls = apps.iter().filter_map(|app| app.url.as_ref());
        urls.any(|url| *url == address.url)
    };
    for warning in exposure::endless(addresses.iter().filter(is_shown)) {
        ui.warn(&remedy::of_address(warning));
    }
    Ok(())
}

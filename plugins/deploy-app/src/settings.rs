//! What an app is: read from what runs, and changed by what is asked for. What is not named stays as it is.

use commons::shell::shell;
use std::collections::BTreeMap;

use commons::{Error, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, Secret};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use serde_json::Value;

use crate::inputs::{CONFIG_DIRECTORY, ConfigFile, Hidden, Inputs};
use crate::objects::{Documents, typed};
use crate::resources::Resources;
use crate::uses::{USES, Use, VARIABLES};

/// The name of the port, of the Service's and of the container's.
pub const PORT: &str = "http";
/// The name of the volume with the files of `--config`.
pub const VOLUME: &str = "config";

/// How it is known when the app is ready.
#[derive(Clone, Debug, PartialEq)]
pub enum Probes {
    /// When its port answers.
    Port,
    /// As somebody has set it by hand.
    Kept {
        startup: Option<Value>,
        readiness: Option<Value>,
    },
}

/// As whom the container runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunAs {
    /// As the image says, root included.
    pub image_decides: bool,
    /// This user.
    pub user: Option<i64>,
}

/// What an app is.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub image: String,
    /// Nothing for an app that listens on none.
    pub port: Option<u16>,
    pub replicas: i32,
    pub command: Vec<String>,
    pub args: Vec<String>,
    pub resources: Resources,
    pub env: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, Hidden>,
    pub files: BTreeMap<String, ConfigFile>,
    pub uses: Option<Use>,
    pub run_as: RunAs,
    pub probes: Probes,
    /// Whether a new pod may run beside the old one while it is replaced.
    pub surge: bool,
}

/// What is to become of something that an app may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// It was not named.
    #[default]
    Keep,
    Set(T),
    Remove,
}

impl<T> Edit<T> {
    fn apply(self, there: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Set(value) => *there = Some(value),
            Self::Remove => *there = None,
        }
    }
}

/// What was asked for, read from the command line.
#[derive(Clone, Debug, Default)]
pub struct WantedSettings {
    pub image: Option<String>,
    pub port: Edit<u16>,
    pub replicas: Option<i32>,
    pub command: Option<(Vec<String>, Vec<String>)>,
    pub inputs: Inputs,
    pub uses: Edit<Use>,
    pub allow_root: Option<bool>,
    pub run_as: Option<i64>,
}

impl Settings {
    /// What runs now.
    ///
    /// # Errors
    /// An object that is not of its form.
    pub fn of(documents: &Documents) -> Result<Option<Self>> {
        let deployment: Option<Deployment> = typed(documents.deployment.as_ref())?;
        let config: Option<ConfigMap> = typed(documents.config.as_ref())?;
        let files = typed(documents.files.as_ref())?;
        let secret: Option<Secret> = typed(documents.secret.as_ref())?;
        let settings = deployment.and_then(|deployment| Self::of_app(&deployment, files.as_ref()));
        Ok(settings.map(|settings| Self {
            env: config.and_then(|config| config.data).unwrap_or_default(),
            secrets: secret
                .and_then(|secret| secret.data)
                .into_iter()
                .flatten()
                .map(|(key, value)| (key, Hidden::new(value.0)))
                .collect(),
            ..settings
        }))
    }

    fn of_app(deployment: &Deployment, files: Option<&ConfigMap>) -> Option<Self> {
        let spec = deployment.spec.as_ref()?;
        let pod = spec.template.spec.as_ref()?;
        let container = own_container(&deployment.name_any(), pod)?;
        let port = container.ports.iter().flatten();
        let port = port
            .clone()
            .find(|port| port.name.as_deref() == Some(PORT))
            .or_else(|| port.clone().next())
            .and_then(|port| u16::try_from(port.container_port).ok());
        let quantities = |map: Option<&BTreeMap<String, Quantity>>| {
            let amounts = map.into_iter().flatten();
            amounts
                .map(|(name, amount)| (name.clone(), amount.0.clone()))
                .collect()
        };
        let resources = container.resources.as_ref();
        let context = pod.security_context.as_ref();
        Some(Self {
            image: container.image.clone().unwrap_or_default(),
            port,
            replicas: spec.replicas.unwrap_or(1),
            command: container.command.clone().unwrap_or_default(),
            args: container.args.clone().unwrap_or_default(),
            resources: Resources {
                requests: quantities(resources.and_then(|resources| resources.requests.as_ref())),
                limits: quantities(resources.and_then(|resources| resources.limits.as_ref())),
            },
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            files: files_of(files, container),
            uses: uses_of(deployment, container),
            run_as: RunAs {
                image_decides: context.and_then(|context| context.run_as_non_root) != Some(true),
                user: context.and_then(|context| context.run_as_user),
            },
            probes: probes_of(container, port),
            surge: may_surge(deployment),
        })
    }

    /// A new app, or what runs with what is asked for in its place.
    ///
    /// # Errors
    /// A new app without an image or port; something to remove that there is not; a variable that is a secret already.
    pub fn wanted(name: &str, now: Option<Self>, wanted: WantedSettings) -> Result<Self> {
        let is_new = now.is_none();
        let mut settings = match (now, &wanted.image) {
            (Some(now), _) => now,
            (None, Some(image)) => Self {
                image: image.clone(),
                port: None,
                replicas: 1,
                command: Vec::new(),
                args: Vec::new(),
                resources: Resources::default(),
                env: BTreeMap::new(),
                secrets: BTreeMap::new(),
                files: BTreeMap::new(),
                uses: None,
                run_as: RunAs::default(),
                probes: Probes::Port,
                surge: true,
            },
            (None, None) => return Err(image_missing(name)),
        };
        if is_new && wanted.port == Edit::Keep {
            return Err(
                Error::usage("missing `--port`: the image declares no port (EXPOSE)")
                    .hint("for example: `--port 8000`")
                    .hint("for an app that listens on no port: `--port none`"),
            );
        }
        wanted.port.apply(&mut settings.port);
        wanted.uses.apply(&mut settings.uses);
        if let Some(image) = wanted.image {
            settings.image = image;
        }
        if let Some(replicas) = wanted.replicas {
            settings.replicas = replicas;
        }
        if let Some((command, args)) = wanted.command {
            settings.command = command;
            settings.args = args;
        }
        if let Some(image_decides) = wanted.allow_root {
            settings.run_as.image_decides = image_decides;
        }
        if let Some(user) = wanted.run_as {
            settings.run_as.user = Some(user);
        }
        settings.take(wanted.inputs)?;
        Ok(settings)
    }

    /// Takes over variables, secrets and files.
    fn take(&mut self, inputs: Inputs) -> Result<()> {
        // What else it is, and the flag of that.
        let absent = |what: &str, name: &str, other: Option<(&str, &'static str)>| {
            Error::usage(format!("there is no {what} `{name}` to remove")).hints_from(other.map(
                |(what, flag)| format!("it is {what}: `{}`", shell(flag).arg(format!("{name}-"))),
            ))
        };
        for name in &inputs.unset_env {
            let other = self
                .secrets
                .contains_key(name)
                .then_some(("a secret", "--secret"));
            let removed = self.env.remove(name);
            removed.ok_or_else(|| absent("variable", name, other))?;
        }
        for name in &inputs.unset_secrets {
            let other = self
                .env
                .contains_key(name)
                .then_some(("an open variable", "--env"));
            let removed = self.secrets.remove(name);
            removed.ok_or_else(|| absent("secret", name, other))?;
        }
        for name in &inputs.unset_files {
            let removed = self.files.remove(name);
            removed.ok_or_else(|| absent("file", name, None))?;
        }
        for (name, value) in inputs.env {
            if self.secrets.contains_key(&name) {
                return Err(Error::usage(format!("`{name}` is a secret already"))
                    .hint(format!(
                        "to change it: `{}`; to make it an open variable, remove the secret first: `{}`",
                        shell("--secret").arg(&name),
                        shell("--secret").arg(format!("{name}-"))
                    )));
            }
            self.env.insert(name, value);
        }
        for (name, value) in inputs.secrets {
            // What becomes secret stands nowhere else any more.
            self.env.remove(&name);
            self.secrets.insert(name, value);
        }
        for (name, mut file) in inputs.files {
            if file.path.as_deref() == Some(&format!("{CONFIG_DIRECTORY}/{name}")) {
                file.path = None;
            } else if file.path.is_none() {
                file.path = self.files.get(&name).and_then(|now| now.path.clone());
            }
            self.files.insert(name, file);
        }
        Ok(())
    }
}

/// The container that is ours: the one that is called like the app.
pub fn own_container<'a>(name: &str, pod: &'a PodSpec) -> Option<&'a Container> {
    pod.containers
        .iter()
        .find(|container| container.name == name)
        .or_else(|| pod.containers.first())
}

fn files_of(files: Option<&ConfigMap>, container: &Container) -> BTreeMap<String, ConfigFile> {
    let place = |key: &str| {
        container
            .volume_mounts
            .iter()
            .flatten()
            .find(|mount| mount.name == VOLUME && mount.sub_path.as_deref() == Some(key))
            .map(|mount| mount.mount_path.clone())
    };
    let Some(files) = files else {
        return BTreeMap::new();
    };
    let texts = files
        .data
        .iter()
        .flatten()
        .map(|(key, text)| (key, text.clone().into_bytes()));
    let bytes = files
        .binary_data
        .iter()
        .flatten()
        .map(|(key, bytes)| (key, bytes.0.clone()));
    texts
        .chain(bytes)
        .map(|(key, content)| {
            let path = place(key);
            (key.clone(), ConfigFile { content, path })
        })
        .collect()
}

fn uses_of(deployment: &Deployment, container: &Container) -> Option<Use> {
    let database = deployment.annotations().get(USES)?.clone();
    let env = container
        .env
        .iter()
        .flatten()
        .filter(|variable| VARIABLES.contains(&variable.name.as_str()))
        .filter_map(|variable| serde_json::to_value(variable).ok())
        .collect();
    Some(Use { database, env })
}

fn probes_of(container: &Container, port: Option<u16>) -> Probes {
    let ours = |probe: Option<&k8s_openapi::api::core::v1::Probe>| {
        probe
            .and_then(|probe| probe.tcp_socket.as_ref())
            .is_some_and(|socket| socket.port == IntOrString::String(PORT.into()))
    };
    let (startup, readiness) = (
        container.startup_probe.as_ref(),
        container.readiness_probe.as_ref(),
    );
    if port.is_none() || ours(startup) && ours(readiness) {
        return Probes::Port;
    }
    let value = |probe: Option<&k8s_openapi::api::core::v1::Probe>| {
        probe.and_then(|probe| serde_json::to_value(probe).ok())
    };
    Probes::Kept {
        startup: value(startup),
        readiness: value(readiness),
    }
}

fn may_surge(deployment: &Deployment) -> bool {
    let surge = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.strategy.as_ref())
        .and_then(|strategy| strategy.rolling_update.as_ref())
        .and_then(|update| update.max_surge.as_ref());
    !matches!(surge, Some(IntOrString::Int(0)))
}

fn image_missing(name: &str) -> Error {
    Error::usage(format!("missing `--image`: there is no app `{name}` yet"))
        .hint(format!(
            "for example: `{}`",
            shell("kubectl deploy-app")
                .arg(name)
                .then("--image IMAGE --port 8000")
        ))
        .hint("list your apps: `kubectl deploy-app list`")
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::plan::{Keep, Plan};

    /// A small app.
    pub fn example() -> Settings {
        let wanted = WantedSettings {
            image: Some("web:1".into()),
            port: Edit::Set(8000),
            inputs: Inputs {
                env: BTreeMap::from([("A".into(), "1".into())]),
                ..Inputs::default()
            },
            ..WantedSettings::default()
        };
        Settings::wanted("web", None, wanted).expect("settings")
    }

    /// The objects of a plan as the API server has them, defaults left out.
    fn documents(plan: &Plan) -> Documents {
        Documents {
            deployment: Some(plan.deployment(None)),
            service: plan.service(),
            config: plan.config(),
            files: plan.files(),
            secret: plan.secret(true),
        }
    }

    fn of(documents: &Documents) -> Option<Settings> {
        Settings::of(documents).expect("objects of their form")
    }

    fn plan(settings: Settings) -> Plan {
        Plan {
            name: "web".into(),
            settings,
            keep: Keep::default(),
        }
    }

    #[test]
    fn what_runs_is_read_back_as_it_was_asked_for() {
        let mut settings = example();
        settings.replicas = 3;
        settings.command = vec!["python".into()];
        settings.args = vec!["app.py".into()];
        settings
            .secrets
            .insert("PW".into(), Hidden::new(b"x".to_vec()));
        settings.files.insert(
            "app.toml".into(),
            ConfigFile {
                content: b"x = 1".to_vec(),
                path: None,
            },
        );
        settings.files.insert(
            "logo.png".into(),
            ConfigFile {
                content: vec![0xff, 0],
                path: Some("/srv/logo.png".into()),
            },
        );
        settings.uses = Some(Use {
            database: "pg".into(),
            env: vec![json!({"name": "PGHOST", "value": "pg"})],
        });
        settings.run_as = RunAs {
            image_decides: true,
            user: Some(1000),
        };
        settings.surge = false;
        settings
            .resources
            .requests
            .insert("cpu".into(), "100m".into());
        let read = of(&documents(&plan(settings.clone())));
        assert_eq!(read, Some(settings));
    }

    #[test]
    fn what_is_not_named_stays() {
        let wanted = WantedSettings {
            image: Some("web:2".into()),
            ..WantedSettings::default()
        };
        let then = Settings::wanted("web", Some(example()), wanted).expect("settings");
        assert_eq!(
            then,
            Settings {
                image: "web:2".into(),
                ..example()
            }
        );
    }

    #[test]
    fn what_becomes_secret_is_open_no_longer() {
        let inputs = Inputs {
            secrets: BTreeMap::from([("A".into(), Hidden::new(b"1".to_vec()))]),
            ..Inputs::default()
        };
        let wanted = WantedSettings {
            inputs,
            ..WantedSettings::default()
        };
        let then = Settings::wanted("web", Some(example()), wanted).expect("settings");
        assert!(then.env.is_empty() && then.secrets.contains_key("A"));
        let back = WantedSettings {
            inputs: Inputs {
                env: BTreeMap::from([("A".into(), "1".into())]),
                ..Inputs::default()
            },
            ..WantedSettings::default()
        };
        let error = Settings::wanted("web", Some(then), back).expect_err("not by accident");
        assert_eq!(error.message(), "`A` is a secret already");
    }

    #[test]
    fn what_there_is_not_cannot_be_removed() {
        let inputs = Inputs {
            unset_env: BTreeSet::from(["B".into()]),
            ..Inputs::default()
        };
        let wanted = WantedSettings {
            inputs,
            ..WantedSettings::default()
        };
        assert!(Settings::wanted("web", Some(example()), wanted).is_err());
    }

    #[test]
    fn a_new_app_needs_an_image_and_a_port() {
        assert_eq!(
            Settings::wanted("web", None, WantedSettings::default())
                .expect_err("no image")
                .message(),
            "missing `--image`: there is no app `web` yet"
        );
        let wanted = WantedSettings {
            image: Some("web:1".into()),
            ..WantedSettings::default()
        };
        assert_eq!(
            Settings::wanted("web", None, wanted)
                .expect_err("no port")
                .message(),
            "missing `--port`: the image declares no port (EXPOSE)"
        );
    }

    #[test]
    fn a_probe_that_was_set_by_hand_stays() {
        let plan = plan(example());
        let mut documents = documents(&plan);
        let probe = json!({"httpGet": {"path": "/health", "port": 8000}});
        let deployment = documents.deployment.as_mut().expect("a Deployment");
        deployment["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = probe.clone();
        let read = of(&documents).expect("settings");
        let container = Plan {
            settings: read,
            ..plan
        }
        .deployment(None);
        let container = &container["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["readinessProbe"], probe);
        assert!(container["startupProbe"]["tcpSocket"].is_object());
    }
}

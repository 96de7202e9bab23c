//! The usual mistakes, found before anything is written. Nothing here asks the cluster: what is around is read before.

mod amounts;
pub mod context;
mod credentials;
mod images;
mod line_breaks;
mod links;
mod references;
mod rights;

use commons::cluster::documents::name;
use commons::labels::Labels;
use commons::shell::shell;
use commons::{Error, Result, Ui};
use serde_json::Value;

pub use context::Around;
pub use images::untagged;

use registry::ImageFacts;

use crate::plan::Plan;
use crate::uses::VARIABLES;

/// A mistake that can be seen before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong with which field of which object.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether the cluster is sure to refuse it, so that there is no use in trying.
    pub is_fatal: bool,
}

impl Finding {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
            is_fatal: false,
        }
    }

    fn fatal(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            is_fatal: true,
            ..Self::new(what, remedy)
        }
    }
}

/// What is wrong with an app that is deployed by name, in the words of the command line. `image` tells of its image.
pub fn of_plan(plan: &Plan, notes: Vec<String>, image: &ImageFacts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = notes
        .into_iter()
        .map(|what| Finding::new(what, ""))
        .collect();
    let settings = &plan.settings;
    for (name, value) in &settings.env {
        if let Some(kind) = credentials::suspicion(name, value) {
            findings.push(Finding::new(
                format!(
                    "variable `{name}` {kind}, and whoever may look at the namespace can read it"
                ),
                format!("make it a secret: `{}`", shell("--secret").arg(name)),
            ));
        }
    }
    for (name, file) in &settings.files {
        let text = String::from_utf8_lossy(&file.content);
        if let Some((line, kind)) = credentials::in_text(&text) {
            findings.push(Finding::new(
                format!("line {line} of file `{name}` {kind}, and whoever may look at the namespace can read it"),
                "take it out of the file and give it as a variable: `--secret NAME`",
            ));
        }
    }
    if let Some(uses) = &settings.uses {
        let is_set = |name: &str| uses.env.iter().any(|entry| entry["name"] == name);
        let shadowed = VARIABLES.iter().find(|name| {
            let is_given = settings.env.contains_key(**name)
                || settings.secrets.contains_key(**name) && **name != "PGPASSWORD";
            is_given && is_set(name)
        });
        if let Some(name) = shadowed {
            findings.push(Finding::new(
                format!("variable `{name}` is set by `--use` too, which wins"),
                format!("remove it: `{}`", shell("--env").arg(format!("{name}-"))),
            ));
        }
    }
    if let (Some(port), Some(said)) = (settings.port, settings.env.get("PORT"))
        && said.parse::<u16>() != Ok(port)
    {
        findings.push(if said.is_empty() {
            Finding::new(
                format!("variable `PORT` is empty, and the port of the app is {port}"),
                "take it away: `--env PORT-`",
            )
        } else {
            Finding::new(
                format!(
                    "variable `PORT` is `{}`, but the port of the app is {port}",
                    shown(said)
                ),
                format!(
                    "if the app listens on the port that PORT names: `{}`",
                    shell("--port").arg(said)
                ),
            )
        });
    }
    findings.extend(images::of_app(settings, image));
    findings
}

/// What is wrong with these manifests, together and with what is around them.
pub fn of_manifests(objects: &[Value], around: &Around) -> Vec<Finding> {
    let mut findings: Vec<Finding> = objects.iter().flat_map(amounts::findings).collect();
    findings.extend(references::findings(objects, around));
    findings.extend(links::findings(objects, around));
    findings.extend(images::findings(objects, around));
    findings.extend(credentials::findings(objects));
    findings.extend(line_breaks::findings(objects, around));
    findings.extend(rights::findings(objects));
    findings
}

/// The ConfigMaps and Secrets that an object's pods read, by kind and name.
pub fn references(object: &Value) -> Vec<(&'static str, String)> {
    references::wanted(object)
        .into_iter()
        .filter(|wanted| matches!(wanted.kind, "ConfigMap" | "Secret"))
        .map(|wanted| (wanted.kind, wanted.name))
        .collect()
}

/// Says what was found. Nothing goes on after what is fatal, and after anything with `--strict`. How many warnings there were.
///
/// # Errors
/// The last thing that stops it; those before were said.
pub fn tell(ui: &Ui, findings: &[Finding], strict: bool) -> Result<usize> {
    let (fatal, warnings): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| finding.is_fatal);
    for finding in &warnings {
        ui.warning(&finding.what);
        if !finding.remedy.is_empty() {
            ui.hint(&finding.remedy);
        }
    }
    let mut errors = fatal
        .into_iter()
        .map(|finding| Error::new(&finding.what).hint(&finding.remedy));
    if let Some(last) = errors.next_back() {
        for error in errors {
            ui.error(&error);
        }
        return Err(last);
    }
    match warnings.len() {
        n if strict && n > 0 => Err(Error::new(format!(
            "nothing was deployed, because `--strict` takes {} above for {}",
            if n == 1 {
                "the warning"
            } else {
                "the warnings"
            },
            if n == 1 { "an error" } else { "errors" }
        ))),
        n => Ok(n),
    }
}

/// What an object is called in findings: deployment `web`.
fn called(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    format!("{} `{}`", shown(&kind), shown(name(object)))
}

fn is(object: &Value, kind: &str) -> bool {
    object["kind"] == kind
}

/// Text of a file in a sentence.
fn shown(text: &str) -> String {
    commons::printable::short(text, 120)
}

fn items<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + Clone {
    value[field]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
}

/// Where in an object of this kind stands what its pods are made from: `spec.template.`, nothing for a pod itself.
pub fn template_path(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some(""),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => Some("spec.template."),
        "CronJob" => Some("spec.jobTemplate.spec.template."),
        _ => None,
    }
}

/// What an object makes its pods from, and where that stands in it.
fn template(object: &Value) -> Option<(&Value, &'static str)> {
    let path = template_path(object["kind"].as_str()?)?;
    let parts = path.split_terminator('.');
    let template = parts.fold(object, |object, part| &object[part]);
    template["spec"].is_object().then_some((template, path))
}

/// The containers of an object's pods, those that run before included, with the place of each.
pub fn containers(object: &Value) -> Vec<(&Value, String)> {
    let Some((template, path)) = template(object) else {
        return Vec::new();
    };
    ["containers", "initContainers"]
        .into_iter()
        .flat_map(|field| {
            items(&template["spec"], field)
                .enumerate()
                .map(move |(position, container)| {
                    (container, format!("{path}spec.{field}[{position}]"))
                })
        })
        .collect()
}

/// Labels or a selector, as they stand in an object.
fn labels(value: &Value) -> Labels {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

/// The labels that an object's pods get; `None` where it makes none.
fn pod_labels(object: &Value) -> Option<Labels> {
    template(object).map(|(template, _)| labels(&template["metadata"]["labels"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of a course's manifests, with one thing replaced in them.
    pub fn course(from: &str, to: &str) -> Vec<Value> {
        let text = include_str!("course.yaml");
        assert!(
            from.is_empty() || text.contains(from),
            "{from} is in the course's manifests"
        );
        let text = text.replacen(from, to, usize::from(!from.is_empty()));
        commons::manifest::read(&text).expect("manifests")
    }

    fn said(objects: &[Value]) -> Vec<(String, String)> {
        of_manifests(objects, &Around::nothing(objects))
            .into_iter()
            .map(|finding| (finding.what, finding.remedy))
            .collect()
    }

    #[test]
    fn nothing_is_wrong_with_the_course() {
        assert_eq!(said(&course("", "")), []);
    }

    #[test]
    fn the_five_mistakes_name_object_and_field() {
        for (from, to, what, remedy) in [
            (
                "targetPort: 8000",
                "targetPort: 8080",
                "service `api`: `spec.ports[0].targetPort` is 8080, but deployment `api` has no such port; it has 8000",
                "set `targetPort: 8000` in service `api`",
            ),
            (
                "  selector:\n    app: api",
                "  selector:\n    app: apy",
                "service `api`: `spec.selector` is app=apy, which no pods have; those of deployment `api` have app=api",
                "set `app: api` in `spec.selector` of service `api`",
            ),
            (
                "configMapRef:\n                name: api-config",
                "configMapRef:\n                name: api-conf",
                "deployment `api`: configmap `api-conf` does not exist, and `spec.template.spec.containers[0].envFrom[0].configMapRef.name` wants it",
                "did you mean `api-config`?",
            ),
            (
                "image: registry.example/course/api:1.0",
                "image: registry.example/course/api",
                "deployment `api`: image `registry.example/course/api` has no tag, so it is whatever `latest` is when a pod starts",
                "name a version: `image: registry.example/course/api:TAG`",
            ),
            (
                "name: api\n                port:\n                  number: 80",
                "name: api\n                port:\n                  number: 8000",
                "ingress `api`: `spec.rules[0].http.paths[0].backend.service.port` is 8000, but service `api` has no such port; it has 80",
                "set `port: {number: 80}` there",
            ),
        ] {
            assert_eq!(
                said(&course(from, to)),
                [(what.to_owned(), remedy.to_owned())]
            );
        }
    }

    #[test]
    fn a_host_that_another_ingress_has() {
        let around = Around {
            ingress_rules: vec![(
                "other".into(),
                serde_json::json!({"host": "alice-api.kub.example.test", "http": {"paths": [{"path": "/"}]}}),
            )],
            ..Around::default()
        };
        let findings = of_manifests(&course("", ""), &around);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(
            findings[0].what,
            "ingress `api`: `spec.rules[0].host` is `alice-api.kub.example.test`, which ingress `other` has already"
        );
    }

    #[test]
    fn strict_stops_at_warnings_and_nothing_goes_on_after_what_is_fatal() {
        let ui = Ui::new(commons::ui::Verbosity::Quiet, commons::ui::Color::Never);
        let warning = Finding::new("a", "b");
        assert_eq!(
            tell(&ui, std::slice::from_ref(&warning), false).ok(),
            Some(1)
        );
        assert!(tell(&ui, std::slice::from_ref(&warning), true).is_err());
        assert_eq!(tell(&ui, &[], true).ok(), Some(0));
        let error = tell(&ui, &[warning, Finding::fatal("x", "y")], false).expect_err("fatal");
        assert_eq!((error.message(), error.hints()), ("x", &["y".into()][..]));
    }
}

//! Images whose name can mean anything, or that will not run as they are.

use serde_json::Value;

use registry::{ImageFacts, ImageReference};

use super::{Around, Finding, called, containers, shown};
use crate::settings::Settings;
use commons::shell::shell;

/// What the name of an image tells: that it can be none, has no tag, or one that moves. `whose` is the object before it, and
/// `field` how the image is given there.
fn of_name(image: &str, whose: &str, field: &str) -> Option<Finding> {
    let reference = match image.parse::<ImageReference>() {
        Ok(reference) => reference,
        Err(why) => {
            return Some(Finding::fatal(
                format!(
                    "{whose}`{}` cannot be the name of an image: {why}",
                    shown(image)
                ),
                format!("name it like `{field}registry.example/web:1.0`"),
            ));
        }
    };
    if !reference.is_latest() {
        return None;
    }
    let (name, tag) = untagged(image);
    let why = if tag.is_none() {
        "has no tag, so it is whatever `latest` is when a pod starts"
    } else {
        "has the tag `latest`, which is another image every time it is pushed"
    };
    Some(Finding::new(
        format!("{whose}image `{}` {why}", shown(&reference.familiar())),
        format!("name a version: `{field}{}:TAG`", shown(name)),
    ))
}

/// An image's name without its tag or digest, and what that is.
pub fn untagged(image: &str) -> (&str, Option<&str>) {
    if let Some((name, digest)) = image.split_once('@') {
        return (untagged(name).0, Some(digest));
    }
    match image.rsplit_once(':') {
        // A colon before the last slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    }
}

/// What the image of an app by name says about itself.
pub fn of_app(settings: &Settings, facts: &ImageFacts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = of_name(&settings.image, "", "--image ")
        .into_iter()
        .collect();
    let image = shown(&settings.image);
    if let Some(why) = &facts.missing {
        findings.push(Finding::new(
            format!("image `{image}` cannot be pulled: {why}"),
            "correct `--image`; a private one needs a Secret for its registry",
        ));
    }
    if let Some(port) = settings.port
        && !facts.ports.is_empty()
        && !facts.ports.contains(&port)
    {
        let ports: Vec<String> = facts.ports.iter().map(u16::to_string).collect();
        findings.push(Finding::new(
            format!(
                "image `{image}` says that it listens on {}, not on {port}",
                ports.join(", ")
            ),
            format!(
                "if the app listens there: `{}`",
                shell("--port").arg(ports.first().map_or("", String::as_str))
            ),
        ));
    }
    let decided = settings.run_as.image_decides || settings.run_as.user.is_some();
    if facts.is_root && !decided {
        findings.push(Finding::new(
            format!("image `{image}` runs as root, which is not allowed here"),
            "try it as another user: `--run-as 1000`; if it must be root: `--allow-root`",
        ));
    }
    if let Some(user) = facts.user_by_name.as_ref().filter(|_| !decided) {
        findings.push(Finding::new(
            format!("image `{image}` runs as user `{}`, and by its name alone the cluster cannot tell that it is not root", shown(user)),
            "name its number: `--run-as 1000`",
        ));
    }
    findings
}

/// What the images of manifests tell.
pub fn findings(objects: &[Value], around: &Around) -> Vec<Finding> {
    let mut findings = Vec::new();
    for object in objects {
        for (container, path) in containers(object) {
            let Some(image) = container["image"].as_str() else {
                continue;
            };
            findings.extend(of_name(image, &format!("{}: ", called(object)), "image: "));
            let missing = around
                .images
                .get(image)
                .and_then(|facts| facts.missing.as_ref());
            if let Some(why) = missing {
                findings.push(Finding::new(
                    format!(
                        "{}: `{path}.image` is `{}`, which cannot be pulled: {why}",
                        called(object),
                        shown(image)
                    ),
                    "correct that field; a private image needs `imagePullSecrets`",
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_in_parts() {
        assert_eq!(untagged("web"), ("web", None));
        assert_eq!(untagged("r.test:5000/a/web"), ("r.test:5000/a/web", None));
        assert_eq!(
            untagged("r.test:5000/a/web:1"),
            ("r.test:5000/a/web", Some("1"))
        );
        assert_eq!(untagged("web:1@sha256:ab"), ("web", Some("sha256:ab")));
    }

    #[test]
    fn tags_that_move_and_names_that_cannot_be() {
        let found = |image: &str| of_name(image, "", "--image ");
        assert!(
            found("web")
                .is_some_and(|finding| finding.remedy == "name a version: `--image web:TAG`")
        );
        assert!(found("web:latest").is_some());
        assert_eq!(found("web:1"), None);
        assert_eq!(found(&format!("web@sha256:{}", "a".repeat(64))), None);
        assert!(found("IMAGE").is_some_and(|finding| finding.is_fatal));
    }
}

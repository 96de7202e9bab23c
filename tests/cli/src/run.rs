//! Running a plugin's binary with nothing of this machine around it, and reading all that it says.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

pub use rustix::process::Signal;
use tempfile::TempDir;

use crate::ApiServer;
use crate::authority::TRUSTED;
use crate::internet::{self, Internet};
use crate::{Stopwatch, Terminal};

/// No run takes longer: the longest wait of a plugin is 10 s.
const DEADLINE: Duration = Duration::from_secs(30);

/// A home directory of one's own, and what the environment holds beside it.
pub struct Session {
    home: TempDir,
    environment: Vec<(OsString, OsString)>,
    /// What differs between two runs, and what stands for it in a snapshot.
    replaced: Vec<(String, String)>,
    /// Where the files are that stand in the place of the machine's own, for who is online.
    names: Option<PathBuf>,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// Without a kubeconfig.
    pub fn new() -> Self {
        let home = tempfile::Builder::new()
            .prefix("commons-")
            .tempdir()
            .unwrap();
        let replaced = vec![(path_text(home.path()), "/home/alice".to_owned())];
        let mut session = Self {
            home,
            environment: Vec::new(),
            replaced,
            names: None,
        };
        let trusted = session.write(".trusted.pem", TRUSTED.pem());
        session.env("SSL_CERT_FILE", trusted);
        session
    }

    /// As Alice, with `~/.kube/config` for this server.
    pub fn alice(server: &ApiServer) -> Self {
        Self::with_token(server, "alice-token")
    }

    /// As whoever has this token there.
    pub fn with_token(server: &ApiServer, token: &str) -> Self {
        let mut session = Self::new();
        session.hide(&server.authority(), "127.0.0.1:6443");
        session.kubeconfig(&kubeconfig(&server.url(), token));
        session
    }

    /// As Alice, with `~/.kube/config` for whatever is at this address.
    pub fn at(url: &str, shown: &str) -> Self {
        let mut session = Self::new();
        let authority = url.split("//").last().unwrap_or_default();
        session.hide(authority, shown);
        session.kubeconfig(&kubeconfig(url, "alice-token"));
        session
    }

    /// Writes `~/.kube/config`.
    pub fn kubeconfig(&self, text: &str) {
        self.write(".kube/config", text);
    }

    /// Writes a file below the home directory; its full path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Writes a program below the home directory; its full path.
    pub fn write_program(&self, name: &str, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.write(name, format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Sets an environment variable.
    pub fn env(&mut self, name: &str, value: impl AsRef<OsStr>) {
        let value = value.as_ref().to_owned();
        self.environment.push((name.into(), value));
    }

    /// Lets plugins see the names and trust the authority of a cluster's outside, and nothing else of the world.
    pub fn online(&mut self, internet: &Internet) {
        let address = internet.address().to_string();
        self.write(
            "names/resolv.conf",
            format!("nameserver {address}\noptions timeout:1 attempts:1\n"),
        );
        self.write("names/nsswitch.conf", "hosts: files dns\n");
        let hosts = self.write("names/hosts", "127.0.0.1 localhost\n");
        let trusted = format!("{}{}", TRUSTED.pem(), internet.authority());
        self.write(".trusted.pem", trusted);
        self.hide(&address, internet::SHOWN);
        self.names = hosts.parent().map(Path::to_owned);
    }

    /// In snapshots, `shown` stands for `text`.
    pub fn hide(&mut self, text: &str, shown: &str) {
        self.replaced.push((text.to_owned(), shown.to_owned()));
    }

    /// Runs `kubectl share-db`.
    pub fn share_db<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        self.run("share-db", args)
    }

    /// Runs a plugin to its end.
    pub fn run<S: AsRef<OsStr>>(&self, plugin: &str, args: impl IntoIterator<Item = S>) -> Run {
        self.spawn(plugin, args).finish()
    }

    /// Starts a plugin.
    pub fn spawn<S: AsRef<OsStr>>(
        &self,
        plugin: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Running<'_> {
        let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().into()).collect();
        let mut child = self.start(&mut self.command(plugin, &args));
        Running {
            session: self,
            typed: self.typed(plugin, &args),
            stdout: lines(child.stdout.take().expect("a pipe")),
            stderr: lines(child.stderr.take().expect("a pipe")),
            child,
            early: String::new(),
        }
    }

    /// The command as [`Session::spawn`] starts it, to be changed first.
    pub fn command<S: AsRef<OsStr>>(&self, plugin: &str, args: &[S]) -> Command {
        let mut command = self.environment(&binary(plugin));
        command.args(args);
        command
    }

    /// Types a plugin's command line at a terminal.
    pub fn terminal(&self, plugin: &str, args: &[&str]) -> Terminal {
        let mut line = vec![format!("exec {}", path_text(&binary(plugin)))];
        line.extend(args.iter().map(|arg| format!("'{arg}'")));
        let mut script = self.environment(Path::new("script"));
        if !self.environment.iter().any(|(name, _)| name == "TERM") {
            script.env("TERM", "xterm");
        }
        Terminal::start(script, &line.join(" "))
    }

    fn environment(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", "/usr/bin:/bin")
            .env("TZ", "UTC")
            .env("TERM", "dumb")
            .env("COLUMNS", "100")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts such a command, where the session is online in a mount namespace of its own.
    pub fn start(&self, command: &mut Command) -> Child {
        let Some(names) = &self.names else {
            return command.spawn().unwrap();
        };
        // A namespace is a thread's, and what the thread starts is in it.
        thread::scope(|scope| {
            let started = scope.spawn(|| {
                see(names)
                    .unwrap_or_else(|error| panic!("cannot change what is seen of /etc: {error}"));
                command.spawn().unwrap()
            });
            started
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn typed(&self, plugin: &str, args: &[OsString]) -> String {
        let mut typed = format!("kubectl {plugin}");
        for arg in args {
            let plain = arg.to_str().filter(|arg| {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,".contains(c);
                !arg.is_empty() && arg.chars().all(plain)
            });
            let shown = match (plain, arg.to_str()) {
                (Some(arg), _) => arg.to_owned(),
                (None, Some(arg)) if arg.len() > 120 => {
                    format!("{:?}...", arg.chars().take(20).collect::<String>())
                }
                (None, Some(arg)) => format!("{arg:?}"),
                (None, None) => format!(
                    "bytes {:?}",
                    arg.as_encoded_bytes().escape_ascii().to_string()
                ),
            };
            typed += " ";
            typed += &self.shown(&shown);
        }
        typed
    }

    /// Text as it stands in a snapshot.
    fn shown(&self, text: &str) -> String {
        let replaced = self.replaced.iter();
        let text = replaced.fold(text.to_owned(), |text, (what, by)| text.replace(what, by));
        of_deployments(&text)
    }
}

/// Text without what the cluster chose at random in the names of a Deployment's pods: `web-7bc4c7998d-2dsht` is `web-xxxxx`.
fn of_deployments(text: &str) -> String {
    let is_random = |part: &str| {
        part.chars()
            .all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c))
    };
    let in_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let mut shown = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !in_name(c)) {
        let name = word.trim_end_matches(|c: char| !in_name(c));
        let mut parts = name.rsplitn(3, '-');
        let pod = match (parts.next(), parts.next(), parts.next()) {
            (Some(pod), Some(hash), Some(app))
                if pod.len() == 5
                    && (8..=10).contains(&hash.len())
                    && is_random(pod)
                    && is_random(hash) =>
            {
                Some(format!("{app}-xxxxx"))
            }
            _ => None,
        };
        shown += pod.as_deref().unwrap_or(name);
        shown += &word[name.len()..];
    }
    shown
}

/// Lets the present thread, and it alone, see these files in the place of the machine's.
fn see(names: &Path) -> std::io::Result<()> {
    use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
    #[expect(deprecated, reason = "what is unsafe in it is to part with open files")]
    rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNS)?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    for file in ["resolv.conf", "nsswitch.conf", "hosts"] {
        mount_bind(names.join(file), Path::new("/etc").join(file))?;
    }
    Ok(())
}

/// A kubeconfig with the context `alice`, in her namespace.
pub fn kubeconfig(url: &str, token: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: alice
contexts:
- name: alice
  context: {{cluster: commons, user: alice, namespace: user-alice}}
clusters:
- name: commons
  cluster: {{server: '{url}'}}
users:
- name: alice
  user: {{token: '{token}'}}
"
    )
}

/// Where the binary of a plugin is: in `COMMONS_BIN_DIR`, or where `make build` puts it.
fn binary(plugin: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();
    let directory = std::env::var_os("COMMONS_BIN_DIR")
        .map_or_else(|| workspace.join("target/release"), PathBuf::from);
    let binary = directory.join(format!("kubectl-{}", plugin.replace('-', "_")));
    assert!(
        binary.is_file(),
        "{} is missing: run `make build` first, or name another directory in COMMONS_BIN_DIR",
        binary.display()
    );
    binary
}

fn path_text(path: &Path) -> String {
    path.to_str().expect("a path that is text").to_owned()
}

/// A plugin that runs; it is killed when this is dropped before its end.
pub struct Running<'a> {
    session: &'a Session,
    typed: String,
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    /// What was read from standard output before the end.
    early: String,
}

impl Running<'_> {
    /// Waits for the next line of standard output.
    pub fn line(&mut self) -> String {
        let line = self.stdout.recv_timeout(DEADLINE).expect("a line");
        self.early += &line;
        line
    }

    /// Waits until it has this file open, which plugins hide from all but root.
    pub fn opens(&self, path: &Path) {
        let open = format!("/proc/{}/fd", self.child.id());
        let stopwatch = Stopwatch::start();
        let has = || {
            let descriptors = std::fs::read_dir(&open);
            if let Err(error) = &descriptors {
                let hidden = error.kind() == std::io::ErrorKind::PermissionDenied;
                assert!(!hidden, "only root sees which files are open");
            }
            descriptors
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok())
                .any(|file| file == path)
        };
        while !has() {
            assert!(
                !stopwatch.is_over(DEADLINE),
                "{} is not opened",
                path.display()
            );
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        let process = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(process, signal).unwrap();
    }

    /// Reads all it says until it ends.
    pub fn finish(mut self) -> Run {
        let status = wait(&mut self.child, &self.typed);
        let stdout: String = self.stdout.iter().collect();
        let stderr: String = self.stderr.iter().collect();
        Run {
            stdout: self.session.shown(&(self.early.clone() + &stdout)),
            stderr: self.session.shown(&stderr),
            typed: self.typed.clone(),
            status,
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Nothing happens to one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines on a thread of their own, so that no full pipe holds the plugin back.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    let mut from = BufReader::new(from);
    thread::spawn(move || {
        loop {
            let mut line = Vec::new();
            if from.read_until(b'\n', &mut line).unwrap() == 0 {
                break;
            }
            let line = String::from_utf8(line).expect("UTF-8 on both outputs");
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// Waits for a process, but not for ever.
pub fn wait(child: &mut Child, typed: &str) -> ExitStatus {
    let stopwatch = Stopwatch::start();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if stopwatch.is_over(DEADLINE) {
            child.kill().unwrap();
            panic!("`{typed}` did not end");
        }
        thread::sleep(Duration::from_millis(3));
    }
}

/// What a run has said, and how it ended.
#[derive(Clone, Debug)]
pub struct Run {
    /// The command line, as a snapshot shows it.
    pub typed: String,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
}

impl Run {
    /// The exit code.
    pub fn code(&self) -> i32 {
        self.status.code().expect("an exit, not a signal")
    }

    /// Both outputs together.
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Expects success.
    #[track_caller]
    #[must_use]
    pub fn success(self) -> Self {
        assert_eq!(self.code(), 0, "{self}");
        self
    }
}

impl std::fmt::Display for Run {
    /// Everything, to be read by a person. What a terminal would obey is made visible, and is a fault.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self
            .status
            .code()
            .map_or_else(|| self.status.to_string(), |code| code.to_string());
        writeln!(f, "$ {}", self.typed)?;
        writeln!(f, "exit code: {code}")?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                writeln!(f, "----- {name}")?;
                f.write_str(&visible(text))?;
                if !text.ends_with('\n') {
                    writeln!(f, "(no line break)")?;
                }
            }
        }
        Ok(())
    }
}

/// Text with everything escaped that is neither printed nor a line break.
pub fn visible(text: &str) -> String {
    text.chars().fold(String::new(), |mut shown, c| {
        if obeyed(c) {
            let _ = write!(shown, "<U+{:04X}>", u32::from(c));
        } else {
            shown.push(c);
        }
        shown
    })
}

/// Whether a terminal obeys a character, or shows what is around it differently for it.
fn obeyed(c: char) -> bool {
    c != '\n'
        && (c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'))
}

/// Whether nothing in a text is obeyed by a terminal.
pub fn is_harmless(text: &str) -> bool {
    !text.chars().any(obeyed)
}

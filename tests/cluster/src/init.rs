//! The node's first process: PID 1 of its own namespaces. It makes the inside of the node, starts the components when told to, and
//! collects every orphan. When it ends, the kernel ends everything below it: nothing of a node outlives it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::{
    mount::{
        MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    },
    process::{Pid, Signal, WaitOptions, kill_process},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    signal::unix::{SignalKind, signal},
};

use crate::{
    cache, cgroup,
    components::{CommandLine, Component},
    control::{Answer, Components, Health, Interruption, Request, SOCKET},
    error::{Context as _, Error, Result},
    external, identity,
    identity::ProcessIdentity,
    layout::{INSIDE, INSIDE_CACHE, LOGIN_HOST, Layout, NODE_NAME, POD_GATEWAY, inside},
    record::Started,
};

/// Directories that daemons write to by fixed paths: the node has its own, so that nothing of it is left on the host.
const OWN_DIRECTORIES: &[&str] = &["/run", "/tmp", "/opt", "/var/lib", "/var/log"];

/// Kernel settings that the kubelet insists on, all of them the host's: it is shown what it wants to see and changes nothing.
const SHOWN_SETTINGS: &[(&str, &str)] = &[
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Runs as PID 1 until told to end.
pub(crate) fn run(layout: &Layout) -> Result<()> {
    if std::process::id() != 1 {
        return Err(Error::new(
            "this is the first process of a node and is started by `cluster up`",
        ));
    }
    // /proc is still the host's, so this is the number by which the host knows this process.
    let own = fs::read_link("/proc/self").context("the own process number cannot be read")?;
    let pid = own
        .to_str()
        .and_then(|pid| pid.parse().ok())
        .ok_or_else(|| Error::new("the own process number is no number"))?;
    Started {
        node: layout.number(),
        init: ProcessIdentity::of(pid)?,
    }
    .write(layout.state())?;
    // Whoever started this now makes the link; if it ends before it says so, there is nothing to do here.
    let mut go = [0];
    if std::io::stdin().read_exact(&mut go).is_err() {
        return Ok(());
    }
    rustix::system::sethostname(NODE_NAME.as_bytes()).context("the host name cannot be set")?;
    make_mounts(layout)?;
    make_network(layout)?;
    cgroup::create(layout)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no async runtime")?;
    runtime.block_on(
        Supervisor {
            running: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
        .serve(),
    )
}

fn make_mounts(layout: &Layout) -> Result<()> {
    let open = |path: &Path| {
        File::open(path).with_context(|| format!("{} cannot be opened", path.display()))
    };
    // Opened before anything is covered: either may lie below what is.
    let (state, cached) = (open(layout.state())?, open(&cache::directory()?)?);
    for directory in OWN_DIRECTORIES
        .iter()
        .map(Path::new)
        .filter(|directory| directory.is_dir() && !directory.is_symlink())
    {
        mount(
            "tmpfs",
            directory,
            "tmpfs",
            MountFlags::NOSUID | MountFlags::NODEV,
            Some(c"mode=755"),
        )
        .with_context(|| format!("{} cannot be covered", directory.display()))?;
    }
    for (opened, target) in [(&state, INSIDE), (&cached, INSIDE_CACHE)] {
        fs::create_dir_all(target).with_context(|| format!("{target} cannot be made"))?;
        mount_bind(format!("/proc/self/fd/{}", opened.as_raw_fd()), target)
            .with_context(|| format!("{target} cannot be mounted"))?;
    }
    for directory in [
        "/run/lock",
        "/run/netns",
        "/var/lib/kubelet",
        "/var/log/containers",
    ] {
        fs::create_dir_all(directory).with_context(|| format!("{directory} cannot be made"))?;
    }
    mount(
        "proc",
        "/proc",
        "proc",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        None::<&std::ffi::CStr>,
    )
    .context("/proc cannot be mounted")?;
    for (setting, value) in SHOWN_SETTINGS {
        let (real, shown) = (
            format!("/proc/sys/{setting}"),
            format!("/run/settings-{}", setting.replace('/', "-")),
        );
        if Path::new(&real).exists() {
            fs::write(&shown, value).with_context(|| format!("{shown} cannot be written"))?;
            mount_bind_recursive(&shown, &real)
                .with_context(|| format!("{real} cannot be covered"))?;
        }
    }
    name_the_issuer(layout)?;
    // Volumes that the kubelet mounts must appear in containers; none of it reaches the host, whose mounts were detached before.
    mount_change(
        "/",
        MountPropagationFlags::SHARED | MountPropagationFlags::REC,
    )
    .context("mounts cannot be shared")
}

/// The API server does not ask the node's DNS for the issuer of tokens. Java looks up its own host, and waits for an answer.
fn name_the_issuer(layout: &Layout) -> Result<()> {
    let (real, shown) = ("/etc/hosts", "/run/hosts");
    let Ok(known) = fs::read_to_string(real) else {
        return Ok(());
    };
    let (known, address) = (known.trim_end(), layout.address());
    let hosts = format!("{known}\n{address} {LOGIN_HOST} {NODE_NAME}\n");
    fs::write(shown, hosts).with_context(|| format!("{shown} cannot be written"))?;
    mount_bind(shown, real).with_context(|| format!("{real} cannot be covered"))
}

fn make_network(layout: &Layout) -> Result<()> {
    let (host, address) = (layout.host_address(), layout.address());
    let second = layout.second_address();
    // A bridge without ports holds the pods' gateway: kernels without the dummy driver have this one. The blackhole keeps packets for pods
    // that are gone from leaving by the default route.
    let commands = format!(
        "link set lo up
addr add {address}/30 dev eth0
addr add {second}/32 dev eth0
link set eth0 up
route add default via {host}
link add node0 type bridge
addr add {POD_GATEWAY}/32 dev node0
link set node0 up
route add blackhole 10.244.0.0/24
"
    );
    external::run_with_input(external::command("ip").args(["-batch", "-"]), &commands)
        .context("the node's network cannot be made")?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("forwarding cannot be switched on")
}

/// The children and what became of them.
struct Supervisor {
    running: BTreeMap<Component, i32>,
    ended: BTreeMap<Component, String>,
}

impl Supervisor {
    async fn serve(mut self) -> Result<()> {
        let listener =
            UnixListener::bind(inside(SOCKET)).context("the control socket cannot be made")?;
        let mut child = signal(SignalKind::child()).context("children cannot be watched")?;
        let mut end = signal(SignalKind::terminate()).context("signals cannot be watched")?;
        loop {
            tokio::select! {
                _ = child.recv() => self.collect(),
                _ = end.recv() => return Ok(()),
                connection = listener.accept() => {
                    if let Ok((stream, _)) = connection {
                        // A caller that went away mid-sentence is no reason to end the node.
                        let _ = tokio::time::timeout(Duration::from_secs(2), self.answer(stream)).await;
                    }
                }
            }
        }
    }

    async fn answer(&mut self, stream: UnixStream) -> Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await.context("no request")?;
        let request: Request = serde_json::from_str(&line).context("no request")?;
        let answer: Answer = self.carry_out(&request).map_err(|error| error.to_string());
        let mut text = serde_json::to_string(&answer).context("no answer")?;
        text.push('\n');
        stream
            .get_mut()
            .write_all(text.as_bytes())
            .await
            .context("no answer")
    }

    fn carry_out(&mut self, request: &Request) -> Result<Components> {
        self.collect();
        match *request {
            Request::Status => {}
            Request::Start(component) => {
                if !self.running.contains_key(&component) {
                    self.start(component)?;
                }
            }
            Request::Signal(component, interruption) => self.interrupt(component, interruption)?,
        }
        Ok(self.status())
    }

    fn start(&mut self, component: Component) -> Result<()> {
        let line = CommandLine::recorded(component)?;
        let log = inside(&format!("log/{component}.log"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("{log} cannot be opened"))?;
        let errors = log.try_clone().context("the log cannot be shared")?;
        let child = Command::new(&line.program)
            .args(&line.arguments)
            // Nothing of the developer's shell: a proxy or a KUBECONFIG there is not meant for the node.
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .envs(line.environment)
            .env("TMPDIR", inside("tmp"))
            .env("HOME", inside("tmp"))
            .current_dir(INSIDE)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("{component} cannot be started"))?;
        let pid = i32::try_from(child.id()).context("an odd process number")?;
        self.running.insert(component, pid);
        self.ended.remove(&component);
        Ok(())
    }

    fn interrupt(&mut self, component: Component, interruption: Interruption) -> Result<()> {
        // Not collected yet, hence still this very child: its number cannot have been given away.
        let Some(pid) = self
            .running
            .get(&component)
            .copied()
            .and_then(Pid::from_raw)
        else {
            return Err(Error::new(format!("{component} does not run")));
        };
        let signal = match interruption {
            Interruption::Kill => Signal::KILL,
            Interruption::Stop => Signal::STOP,
            Interruption::Continue => Signal::CONT,
        };
        kill_process(pid, signal).with_context(|| format!("{component} cannot be signalled"))?;
        if interruption == Interruption::Kill {
            // The caller may rely on its end.
            if let Ok(Some((_, status))) = rustix::process::waitpid(Some(pid), WaitOptions::empty())
            {
                self.note_end(pid.as_raw_nonzero().get(), status);
            }
        }
        Ok(())
    }

    /// Collects every child that ended, components and orphans alike.
    fn collect(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            self.note_end(pid.as_raw_nonzero().get(), status);
        }
    }

    fn note_end(&mut self, pid: i32, status: rustix::process::WaitStatus) {
        let Some(component) = self
            .running
            .iter()
            .find_map(|(&component, &running)| (running == pid).then_some(component))
        else {
            return;
        };
        self.running.remove(&component);
        let how = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        self.ended.insert(component, how);
        // So it asks to be started again, after it changed its configuration.
        if component == Component::Felix && status.exit_status() == Some(129) {
            // A failure shows in the status: it has ended and stays so.
            let _ = self.start(component);
        }
    }

    fn status(&self) -> Components {
        let running = self
            .running
            .iter()
            .map(|(&component, &pid)| match identity::stat(pid) {
                Some((_, 'T')) => (component, Health::Stopped(pid)),
                _ => (component, Health::Running(pid)),
            });
        let mut all: Components = running.collect();
        all.extend(
            self.ended
                .iter()
                .map(|(&component, how)| (component, Health::Ended(how.clone()))),
        );
        all.sort_by_key(|(component, _)| *component);
        all
    }
}

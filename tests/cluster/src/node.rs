//! A node's life: made, proven usable, looked at, taken down. `up` and `down` can each be run at any time, whatever state an earlier run
//! or its violent end has left.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;

use crate::{
    additions::{self, Addition, Site},
    api::Api,
    cache,
    certificates::{self, Authority},
    cgroup,
    components::{self, Component, Setup},
    control::{self, Components, Health, Request},
    error::{Context as _, Error, Result},
    external, images, interrupt, keycloak,
    kubeconfig::Server,
    layout::{Layout, NODE_NAME, POD_GATEWAY},
    link,
    login::{self, Login},
    machine,
    programs::Program,
    progress::Progress,
    record::{Ready, Started},
    storage, store, users, wait,
};

/// How long a component may take to do its part. Generous: the machine may be building something beside it.
const PATIENCE: Duration = Duration::from_secs(90);

/// What `up` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The node was up and well before.
    WasUp,
    /// The node was made.
    Made,
    /// The node was up and well before, and these additions came to it.
    Extended,
}

/// How much of a node there is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All that it takes to run pods.
    Whole,
    /// The API server and its controllers, with the kinds of the Gateway API and of cert-manager.
    ControlPlane,
}

impl Extent {
    /// What is recorded of a node, also of one that was never finished.
    fn of(layout: &Layout) -> Self {
        if Component::Kubelet.is_of(layout) {
            Self::Whole
        } else {
            Self::ControlPlane
        }
    }

    fn components(self) -> &'static [Component] {
        match self {
            Self::Whole => Component::STOCK,
            Self::ControlPlane => Component::CONTROL_PLANE,
        }
    }

    fn programs(self) -> &'static [Program] {
        match self {
            Self::Whole => &[
                Program::Kubenode,
                Program::Kubectl,
                Program::Felix,
                Program::Coredns,
                Program::Web,
            ],
            Self::ControlPlane => &[
                Program::Kubenode,
                Program::Kubectl,
                Program::Traefik,
                Program::CertManager,
            ],
        }
    }
}

/// How a node is.
#[derive(Debug, Clone)]
pub struct Status {
    /// Whether anything of it is there.
    pub exists: bool,
    /// Its components.
    pub components: Vec<(Component, Health)>,
    /// Its additions.
    pub with: Vec<Addition>,
    /// What is not as it should be; empty for a healthy node.
    pub complaints: Vec<String>,
}

/// Makes the node, unless it is up and well. Whatever is broken is taken down first.
pub fn up(
    layout: &Layout,
    extent: Extent,
    with: &[Addition],
    progress: &Progress,
) -> Result<Outcome> {
    machine::check_host()?;
    interrupt::watch()?;
    fs::create_dir_all(layout.state())
        .with_context(|| format!("{} cannot be made", layout.state().display()))?;
    let _lock = lock(layout, progress)?;
    let found = status(layout);
    let with = Addition::complete(with.iter().copied());
    if found.exists && Extent::of(layout) != extent {
        return Err(Error::new(format!(
            "node {} is there, and is of another extent",
            layout.number()
        ))
        .hint("take it down first, or choose another number with `--node`"));
    }
    if found.exists && found.complaints.is_empty() {
        let missing: Vec<_> = with
            .iter()
            .copied()
            .filter(|addition| !found.with.contains(addition))
            .collect();
        if missing.is_empty() {
            return Ok(Outcome::WasUp);
        }
        extend(layout, &found.with, &missing, progress)?;
        return Ok(Outcome::Extended);
    }
    // A node that broke comes back with what it had.
    let wanted = Addition::complete(with.into_iter().chain(found.with));
    if found.exists {
        progress.say(&format!(
            "the node is not well ({}): making it anew",
            found.complaints.join("; ")
        ));
    }
    machine::ensure_node_packages(progress)?;
    link::check_free(layout)?;
    build(extent, &wanted, progress)?;
    let content = match extent {
        Extent::Whole => Some(images::store(progress)?),
        Extent::ControlPlane => None,
    };
    take_down(layout)?;
    link::check_free(layout)?;
    machine::check_free_space(layout.state(), 1)?;
    let made = match content {
        Some(content) => make(layout, &wanted, &content, progress),
        None => make_control_plane(layout, progress),
    };
    made.map_err(|error| {
        interrupt::forget();
        match take_down(layout) {
            Ok(()) => error,
            Err(left) => error.because(left),
        }
    })?;
    Ok(Outcome::Made)
}

/// Takes the node down and verifies that nothing of it is left. A node that is not there is fine.
pub fn down(layout: &Layout, progress: &Progress) -> Result<bool> {
    if !layout.state().exists() && started(layout).is_none() {
        return Ok(false);
    }
    machine::check_host()?;
    // Somebody may have emptied `target` while the node ran.
    fs::create_dir_all(layout.state())
        .with_context(|| format!("{} cannot be made", layout.state().display()))?;
    let _lock = lock(layout, progress)?;
    let existed = status(layout).exists;
    take_down(layout)?;
    Ok(existed)
}

/// Commands that change a node exclude each other.
fn lock(layout: &Layout, progress: &Progress) -> Result<File> {
    cache::lock(&layout.path("lock"), || {
        progress.doing("another command is at this node");
    })
}

/// Builds whatever the node needs and the cache does not have.
fn build(extent: Extent, with: &[Addition], progress: &Progress) -> Result<()> {
    for &program in extent
        .programs()
        .iter()
        .chain(with.iter().flat_map(|addition| addition.programs()))
    {
        program.ensure(progress)?;
    }
    if with.contains(&Addition::Keycloak) {
        keycloak::ensure(progress)?;
    }
    Ok(())
}

/// The processes that these additions bring.
fn components_of(with: &[Addition]) -> impl Iterator<Item = Component> {
    with.iter()
        .flat_map(|addition| addition.components())
        .copied()
}

fn make(layout: &Layout, with: &[Addition], content: &Path, progress: &Progress) -> Result<()> {
    progress.doing("starting the node");
    let setup = Setup { layout, progress };
    prepare_state(&setup)?;
    prepare_pods(&setup, content)?;
    record(
        &setup,
        Component::STOCK.iter().copied().chain(components_of(with)),
    )?;
    start_init(layout)?;
    progress.doing("starting the API server");
    for component in [Component::Etcd, Component::Apiserver, Component::Containerd] {
        start(layout, component)?;
    }
    for component in components_of(with) {
        start(layout, component)?;
    }
    let api = Api::of(&layout.kubeconfig("admin"))?;
    until_works(layout, "the API server is ready", || api.text("/readyz"))?;
    progress.doing("starting the components");
    for component in [
        Component::ControllerManager,
        Component::Scheduler,
        Component::Kubelet,
        Component::Proxy,
        Component::Coredns,
    ] {
        start(layout, component)?;
    }
    additions::define(&api, Program::Felix, progress)?;
    for addition in with {
        addition.define(&api, progress)?;
    }
    storage::offer(&api)?;
    for &name in users::DEFAULT {
        add_user(layout, &api, name, Some("admin"), &[], Login::default())?;
    }
    announce_policy_engine(layout, &api)?;
    start(layout, Component::Felix)?;
    let site = Site {
        layout,
        api: &api,
        progress,
        with,
    };
    install(&site, with)?;
    progress.doing("waiting until the node is usable");
    prove(layout, &api)?;
    prove_additions(&site, with)?;
    Ready {
        with: with.to_vec(),
    }
    .write(layout.state())
}

/// The API server and its controllers: whatever is made there stays as it is made, until a test says what became of it.
fn make_control_plane(layout: &Layout, progress: &Progress) -> Result<()> {
    progress.doing("starting the control plane");
    let setup = Setup { layout, progress };
    prepare_state(&setup)?;
    record(&setup, Extent::ControlPlane.components().iter().copied())?;
    start_init(layout)?;
    for &component in Extent::ControlPlane.components() {
        start(layout, component)?;
    }
    let api = Api::of(&layout.kubeconfig("admin"))?;
    until_works(layout, "the API server is ready", || api.text("/readyz"))?;
    for addition in [Addition::Gateway, Addition::CertManager] {
        addition.define(&api, progress)?;
    }
    let first = users::DEFAULT[0];
    add_user(layout, &api, first, Some("admin"), &[], Login::default())?;
    prove_rights(layout, &api)?;
    for kinds in [
        "gateway.networking.k8s.io/v1/httproutes",
        "acme.cert-manager.io/v1/challenges",
    ] {
        let path = format!("/apis/{kinds}");
        until_works(layout, "further kinds are served", || api.text(&path))?;
    }
    Ready::default().write(layout.state())
}

/// Writes how these components are started.
fn record(setup: &Setup, components: impl Iterator<Item = Component>) -> Result<()> {
    for component in components {
        component.prepare(setup)?.record(setup.layout, component)?;
    }
    Ok(())
}

/// Puts more additions on a running node.
fn extend(
    layout: &Layout,
    present: &[Addition],
    missing: &[Addition],
    progress: &Progress,
) -> Result<()> {
    build(Extent::Whole, missing, progress)?;
    let setup = Setup { layout, progress };
    for component in components_of(missing) {
        component.prepare(&setup)?.record(layout, component)?;
        start(layout, component)?;
    }
    let api = Api::of(&layout.kubeconfig("admin"))?;
    let with = Addition::complete(present.iter().chain(missing).copied());
    for addition in missing {
        addition.define(&api, progress)?;
    }
    let site = Site {
        layout,
        api: &api,
        progress,
        with: &with,
    };
    // What they rest on is installed again: it may be set up in another way for them.
    let affected = Addition::complete(missing.iter().copied());
    install(&site, &affected)?;
    prove_additions(&site, &affected)?;
    Ready { with }.write(layout.state())
}

fn install(site: &Site, additions: &[Addition]) -> Result<()> {
    for addition in additions {
        site.progress.doing(&format!("adding {addition}"));
        addition.install(site)?;
    }
    Ok(())
}

fn prove_additions(site: &Site, additions: &[Addition]) -> Result<()> {
    for addition in additions {
        site.progress.doing(&format!("waiting for {addition}"));
        addition.prove(site)?;
    }
    Ok(())
}

/// Everything a new node finds in its state directory.
fn prepare_state(setup: &Setup) -> Result<()> {
    let layout = setup.layout;
    // Kept until now, because they tell why the earlier node ended.
    cache::remove_all(&layout.path("log"))?;
    for directory in ["pki", "etc", "log", "tmp", "components"] {
        make_directory(layout, directory)?;
    }
    let kubectl = layout.path("kubectl");
    std::os::unix::fs::symlink(Program::Kubectl.path(setup.progress)?, &kubectl)
        .with_context(|| format!("{} cannot be made", kubectl.display()))?;
    make_certificates(layout)
}

fn make_directory(layout: &Layout, name: &str) -> Result<()> {
    let path = layout.path(name);
    fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))
}

/// What it takes to run pods: images, the programs that link them, and places for volumes.
fn prepare_pods(setup: &Setup, content: &Path) -> Result<()> {
    let layout = setup.layout;
    make_directory(layout, components::CNI_PROGRAMS)?;
    store::copy(content, &layout.path("containerd"))?;
    // A copy, because the directory the packages use is hidden from the node's processes on some distributions.
    for plugin in ["host-local", "portmap", "loopback"] {
        let from = Path::new("/usr/lib/cni").join(plugin);
        fs::copy(&from, layout.path(components::CNI_PROGRAMS).join(plugin))
            .with_context(|| format!("{} cannot be copied", from.display()))?;
    }
    // One program: it is Calico's CNI plugin when called by that name.
    let calico = layout.path(components::CNI_PROGRAMS).join("calico");
    std::os::unix::fs::symlink(setup.program(Program::Felix)?, &calico)
        .with_context(|| format!("{} cannot be made", calico.display()))?;
    storage::make_directories(layout)
}

fn make_certificates(layout: &Layout) -> Result<()> {
    let pki = layout.path("pki");
    let authority = Authority::create()?;
    authority.write(&pki)?;
    let gateway = IpAddr::V4(POD_GATEWAY);
    let service = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
    ];
    let addresses = [
        IpAddr::V4(layout.address()),
        gateway,
        service,
        IpAddr::V4(Ipv4Addr::LOCALHOST),
    ];
    authority
        .server("kube-apiserver", &names, &addresses)?
        .write(&pki, "apiserver")?;
    authority
        .server(NODE_NAME, &[NODE_NAME], &[gateway])?
        .write(&pki, "kubelet")?;
    authority
        .client("kube-apiserver-kubelet-client", &["system:masters"])?
        .write(&pki, "kubelet-client")?;
    let (private, public) = certificates::token_keys()?;
    certificates::write_private(&pki.join("tokens.key"), &private)?;
    certificates::write_private(&pki.join("tokens.pub"), &public)?;

    let server = Server::new(&layout.server(), authority.certificate());
    let node = format!("system:node:{NODE_NAME}");
    for (name, user, groups) in [
        ("admin", "admin", &["system:masters"][..]),
        ("kubelet", node.as_str(), &["system:nodes"]),
        ("controller-manager", "system:kube-controller-manager", &[]),
        ("scheduler", "system:kube-scheduler", &[]),
        ("proxy", "system:kube-proxy", &[]),
    ] {
        server.write(
            &pki.join(format!("{name}.kubeconfig")),
            name,
            "default",
            &authority.client(user, groups)?,
        )?;
    }
    server.write(
        &layout.kubeconfig("admin"),
        "admin",
        "default",
        &authority.client("admin", &["system:masters"])?,
    )
}

/// Starts the node's first process and links it to the host. Until told to go on it has done nothing but write down who it is.
fn start_init(layout: &Layout) -> Result<()> {
    let own = std::env::current_exe().context("the own program cannot be found")?;
    let log_path = layout.path("log/init.log");
    let log = File::create(&log_path)
        .with_context(|| format!("{} cannot be made", log_path.display()))?;
    let errors = log.try_clone().context("the log cannot be shared")?;
    let mut command = Command::new(own);
    command
        .args(["--node", &layout.number().to_string(), "--state"])
        .arg(layout.state())
        .arg("launch")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(errors);
    let mut outer = command
        .spawn()
        .map_err(|error| external::not_started(&command, &error))?;
    let mut go = outer
        .stdin
        .take()
        .ok_or_else(|| Error::new("the node's first process cannot be told to go on"))?;
    let mut ended = || -> Result<()> {
        match outer
            .try_wait()
            .context("the node's first process cannot be watched")?
        {
            Some(status) => Err(Error::new("the node's first process ended")
                .because(status)
                .show(log_end(&log_path))),
            None => Ok(()),
        }
    };
    let started = wait::until("the node's first process runs", PATIENCE, || {
        ended()?;
        Ok(Started::read(layout.state()))
    })?;
    link::create(layout, &started.init)?;
    go.write_all(b"g")
        .context("the node's first process cannot be told to go on")?;
    wait::until("the node's first process answers", PATIENCE, || {
        ended()?;
        Ok(control::ask(layout, &Request::Status).ok())
    })
    .map(drop)
}

fn start(layout: &Layout, component: Component) -> Result<()> {
    control::ask(layout, &Request::Start(component)).map(drop)
}

/// Waits for a condition, and fails at once when a component ends meanwhile.
fn until_well<T>(
    layout: &Layout,
    condition: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    wait::until(condition, PATIENCE, || {
        let answer = look()?;
        if answer.is_none() {
            check_components(layout)?;
        }
        Ok(answer)
    })
    .map_err(|error| error.hint(format!("the logs are in {}", layout.path("log").display())))
}

/// Tries until it works, and fails at once when a component ends meanwhile; the deadline's error tells why it last did not work.
fn until_works<T>(
    layout: &Layout,
    condition: &str,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut last = None;
    until_well(layout, condition, || match attempt() {
        Ok(answer) => Ok(Some(answer)),
        Err(error) => {
            last = Some(error);
            Ok(None)
        }
    })
    .map_err(|error| match last.take() {
        Some(last) => error.because(last),
        None => error,
    })
}

fn check_components(layout: &Layout) -> Result<()> {
    for (component, health) in control::ask(layout, &Request::Status)? {
        if let Health::Ended(how) = health {
            let log = layout.path(format!("log/{component}.log"));
            return Err(Error::new(format!("{component} {how}")).show(log_end(&log)));
        }
    }
    Ok(())
}

fn log_end(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    format!("{}:\n{}", log.display(), external::last_lines(&text, 15))
}

/// Tells Calico's agent that its data is complete. The API server takes new kinds of objects only 2 s after their definition.
fn announce_policy_engine(layout: &Layout, api: &Api) -> Result<()> {
    let information = json!({
        "apiVersion": "crd.projectcalico.org/v1",
        "kind": "ClusterInformation",
        "metadata": {"name": "default"},
        "spec": {
            "datastoreReady": true,
            "clusterType": "k8s",
            "calicoVersion": "v3.28.5",
            "clusterGUID": "00000000000000000000000000000001",
        },
    });
    until_works(layout, "Calico's definitions are served", || {
        api.create(
            "/apis/crd.projectcalico.org/v1/clusterinformations",
            &information,
        )
    })
    .map(drop)
}

/// The node's API server, as a kubeconfig names it.
pub(crate) fn server(layout: &Layout) -> Result<Server> {
    let authority = Authority::read(&layout.path("pki"))?;
    Ok(Server::new(&layout.server(), authority.certificate()))
}

/// Makes a user of this node and their kubeconfig.
pub(crate) fn add_user(
    layout: &Layout,
    api: &Api,
    name: &str,
    role: Option<&str>,
    groups: &[&str],
    login: Login,
) -> Result<()> {
    let namespace = if let Some(role) = role {
        users::give_namespace(api, name, role, &login.subject(name))?;
        users::namespace(name)
    } else {
        "default".to_owned()
    };
    login::write_kubeconfig(layout, api, name, &namespace, groups, login)
}

/// Waits until everything that tests rely on works, each by its own sign.
fn prove(layout: &Layout, api: &Api) -> Result<()> {
    prove_rights(layout, api)?;
    until_well(layout, "the node is ready", || {
        Ok(is_node_ready(api)?.then_some(()))
    })?;
    let proxy = SocketAddr::from((layout.address(), components::PROXY_HEALTH));
    until_well(layout, "service addresses work", || {
        Ok(answers_well(proxy, "/healthz").then_some(()))
    })?;
    let felix = SocketAddr::from((layout.address(), components::FELIX_HEALTH));
    until_well(layout, "network policies are enforced", || {
        Ok(answers_well(felix, "/readiness").then_some(()))
    })?;
    until_well(layout, "names are resolved", || {
        Ok(resolves(layout.address(), "kubernetes.default.svc.cluster.local").then_some(()))
    })
}

/// Waits until users have their rights and pods somebody to be.
fn prove_rights(layout: &Layout, api: &Api) -> Result<()> {
    // The role `admin` is put together from parts a moment after the API server is ready.
    let alice = Api::of(&layout.kubeconfig(users::DEFAULT[0]))?;
    let namespace = users::namespace(users::DEFAULT[0]);
    until_well(layout, "a namespace admin may create deployments", || {
        Ok(alice
            .may("create", "apps", "deployments", &namespace)?
            .then_some(()))
    })?;
    until_well(layout, "pods have a service account", || {
        api.get(&format!(
            "/api/v1/namespaces/{namespace}/serviceaccounts/default"
        ))
    })
    .map(drop)
}

fn is_node_ready(api: &Api) -> Result<bool> {
    let Some(node) = api.get(&format!("/api/v1/nodes/{NODE_NAME}"))? else {
        return Ok(false);
    };
    let conditions = node["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    Ok(conditions
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True"))
}

/// Whether an address answers an HTTP request with a 2xx.
fn answers_well(address: SocketAddr, path: &str) -> bool {
    status_of(address, path).is_some_and(|status| (200..300).contains(&status))
}

/// The status that an address answers an HTTP request with; `None` when it does not answer.
pub(crate) fn status_of(address: SocketAddr, path: &str) -> Option<u16> {
    let patience = Duration::from_secs(1);
    let ask = || -> std::io::Result<[u8; 12]> {
        let mut stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status)
    };
    let line = ask().ok()?;
    // HTTP/1.x NNN
    std::str::from_utf8(line.get(9..)?).ok()?.parse().ok()
}

/// Whether a name server knows an address of a name.
fn resolves(server: Ipv4Addr, name: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        socket.connect((server, 53))?;
        socket.send(&dns_query(name))?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        // No error in the flags, and at least one answer.
        Ok(length > 12 && answer[3].trailing_zeros() >= 4 && answer[7] > 0)
    };
    ask().unwrap_or(false)
}

/// A question for the address of a name (RFC 1035, section 4.1).
fn dns_query(name: &str) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.extend(u8::try_from(label.len()));
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

/// The additions that were proven to work on the node.
pub(crate) fn additions(layout: &Layout) -> Vec<Addition> {
    Ready::read(layout.state())
        .map(|ready| ready.with)
        .unwrap_or_default()
}

/// Looks at the node without changing anything.
pub fn status(layout: &Layout) -> Status {
    let ready = Ready::read(layout.state());
    let with = ready.clone().map(|ready| ready.with).unwrap_or_default();
    let started = started(layout);
    let mut status = Status {
        exists: started.is_some(),
        components: Vec::new(),
        with,
        complaints: Vec::new(),
    };
    let Some(started) = started else {
        return status;
    };
    status.complaints = complaints(
        layout,
        &started,
        ready.is_some(),
        &mut status.components,
        &status.with,
    )
    .unwrap_or_else(|error| vec![error.message().to_owned()]);
    status
}

/// The node's first process, by the record in the state or, when somebody emptied that directory, by the mark on the link.
fn started(layout: &Layout) -> Option<Started> {
    Started::read(layout.state()).or_else(|| {
        let init = link::owner(layout).ok()??;
        Some(Started {
            node: layout.number(),
            init,
        })
    })
}

/// Whether the node's first process runs.
pub(crate) fn is_running(layout: &Layout) -> bool {
    started(layout).is_some_and(|started| started.init.is_alive())
}

/// Whether the node was proven usable when it was made.
pub(crate) fn is_ready(layout: &Layout) -> bool {
    Ready::read(layout.state()).is_some()
}

fn complaints(
    layout: &Layout,
    started: &Started,
    ready: bool,
    components: &mut Components,
    with: &[Addition],
) -> Result<Vec<String>> {
    if !started.init.is_alive() {
        return Ok(vec!["it was killed".to_owned()]);
    }
    *components = control::ask(layout, &Request::Status)?;
    for (_, health) in components.iter_mut() {
        if let Health::Running(pid) | Health::Stopped(pid) = health {
            *pid = started.init.host_number(*pid).unwrap_or(*pid);
        }
    }
    let mut complaints = Vec::new();
    if !ready {
        complaints.push("it was never finished".to_owned());
    }
    for (component, health) in components.iter() {
        match health {
            Health::Running(_) => {}
            Health::Stopped(_) => complaints.push(format!("{component} is stopped")),
            Health::Ended(how) => complaints.push(format!("{component} {how}")),
        }
    }
    let extent = Extent::of(layout);
    for component in extent
        .components()
        .iter()
        .copied()
        .chain(components_of(with))
        .filter(|wanted| !components.iter().any(|(component, _)| component == wanted))
    {
        complaints.push(format!("{component} was not started"));
    }
    if !link::is_up(layout)? {
        complaints.push("its link is cut".to_owned());
    }
    if !layout.path("kubectl").exists() {
        complaints.push("its programs are no longer in the cache".to_owned());
    }
    if complaints.is_empty() {
        let api = Api::of(&layout.kubeconfig("admin"))?;
        api.text("/readyz")?;
        if extent == Extent::Whole && !is_node_ready(&api)? {
            complaints.push("the kubelet does not report".to_owned());
        }
        for addition in with {
            complaints.extend(addition.complaints(&api)?);
        }
    }
    Ok(complaints)
}

/// Ends whatever there is of the node, and checks that it is gone.
fn take_down(layout: &Layout) -> Result<()> {
    Ready::remove(layout.state());
    if let Some(started) = started(layout) {
        started.init.kill()?;
        // The kernel lets go of PID 1 only after everything in its namespace has ended.
        wait::until("the node's processes end", PATIENCE, || {
            Ok(
                (!started.init.is_alive() && started.init.namespace_members().is_empty())
                    .then_some(()),
            )
        })?;
    }
    link::remove(layout)?;
    // Whoever has the link has the number, and with it the cgroups.
    if link::check_free(layout).is_ok() {
        cgroup::remove(layout)?;
    }
    Started::remove(layout.state());
    clean_state(layout)?;
    verify_gone(layout)
}

/// Removes everything from the state directory but the lock that is held on it and the logs.
fn clean_state(layout: &Layout) -> Result<()> {
    let failed = || format!("{} cannot be emptied", layout.state().display());
    for entry in fs::read_dir(layout.state()).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name();
        if name == "lock" || name == "log" {
            continue;
        }
        if entry.file_type().with_context(failed)?.is_dir() {
            cache::remove_all(&entry.path())?;
        } else {
            fs::remove_file(entry.path()).with_context(failed)?;
        }
    }
    Ok(())
}

fn verify_gone(layout: &Layout) -> Result<()> {
    let mut left = Vec::new();
    if link::check_free(layout).is_ok() {
        left.extend(
            cgroup::leftovers(layout)
                .iter()
                .map(|cgroup| format!("cgroup {}", cgroup.display())),
        );
        if link::is_there(layout)? {
            left.push(format!("link {}", layout.link()));
        }
        if link::is_guarded(layout)? {
            left.push("the route that guards its addresses".to_owned());
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("mounts cannot be read")?;
    let state = layout.state().display().to_string();
    left.extend(
        mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .filter(|point| point.starts_with(&state))
            .map(|point| format!("mount {point}")),
    );
    if left.is_empty() {
        Ok(())
    } else {
        Err(Error::new(format!(
            "left over from the node: {}",
            left.join(", ")
        )))
    }
}

/// Loads an image archive (OCI or `docker save`) into the running node and returns the names of its images.
pub fn load_image(layout: &Layout, archive: &Path) -> Result<String> {
    let started = started(layout).filter(|started| started.init.is_alive());
    let started =
        started.ok_or_else(|| Error::new("the node is not up").hint("run `make cluster`"))?;
    let file =
        File::open(archive).with_context(|| format!("{} cannot be opened", archive.display()))?;
    let mut command = external::command("nsenter");
    command.args([
        "--target",
        &started.init.pid.to_string(),
        "--mount",
        "--pid",
        "--net",
        "--",
    ]);
    command.args([
        "ctr",
        "--address",
        &crate::layout::inside("containerd.sock"),
        "--namespace",
        "k8s.io",
        "images",
        "import",
        "-",
    ]);
    let output = command
        .stdin(file)
        .output()
        .map_err(|error| external::not_started(&command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(external::failed(
        &command,
        output.status.to_string(),
        &String::from_utf8_lossy(&output.stderr),
    )
    .hint("the archive must be one of `docker save`, `podman save` or an OCI archive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_question_is_labels_with_lengths() {
        assert_eq!(&dns_query("a.bc")[12..], b"\x01a\x02bc\x00\x00\x01\x00\x01");
    }

    #[test]
    fn nothing_there_is_no_node() {
        let directory = tempfile::tempdir().unwrap();
        let status = status(&Layout::new(9, directory.path()));
        assert!(!status.exists && status.complaints.is_empty());
    }
}

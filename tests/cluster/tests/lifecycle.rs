//! The life of real nodes, numbers 77 and 78: `cargo test -p test-cluster --test lifecycle`, as root. Plain `cargo test` leaves it out,
//! because it takes minutes on a machine where nothing is built yet.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use test_cluster::{
    Addition, Cluster, Component, Fault, Layout, Lifetimes, Login, Realm, Refreshes,
};

/// One test at a time: each says how fast things are, and memory holds two nodes, not six.
static MACHINE: Mutex<()> = Mutex::new(());

/// A node of this test, taken down whatever happens.
struct Node {
    number: u8,
    state: tempfile::TempDir,
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Node {
    fn new() -> Self {
        let alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes namespaces and links: run it as root"
        );
        Self {
            number: 77,
            state: tempfile::tempdir().unwrap(),
            _alone: Some(alone),
        }
    }

    fn beside(number: u8) -> Self {
        Self {
            number,
            state: tempfile::tempdir().unwrap(),
            _alone: None,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cluster"));
        command
            .args(["--node", &self.number.to_string(), "--state"])
            .arg(self.state.path())
            .args(arguments);
        command
            .env_remove("COMMONS_TEST_CLUSTER")
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        good(&self.run(arguments), arguments)
    }

    fn up(&self) {
        let said = self.ok(&["up"]);
        assert!(said.contains("the node is up"), "{said}");
        self.ok(&["status"]);
    }

    /// Starts `up` and returns as soon as the node's first process runs.
    fn half_up(&self) -> Child {
        let mut child = self
            .command(&["up"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the node's first process runs", || {
            assert!(child.try_wait().unwrap().is_none(), "up ended too early");
            self.state.path().join("control.sock").exists()
        });
        child
    }

    fn cluster(&self) -> Cluster {
        Cluster::node(&Layout::new(self.number, self.state.path())).unwrap()
    }

    fn kubeconfig(&self, user: &str) -> PathBuf {
        self.state.path().join(format!("{user}.kubeconfig"))
    }

    fn kubectl(&self, user: &str, arguments: &[&str]) -> Output {
        kubectl(
            &self.state.path().join("kubectl"),
            &self.kubeconfig(user),
            arguments,
        )
    }

    fn init_pid(&self) -> i32 {
        let record: serde_json::Value =
            serde_json::from_slice(&fs::read(self.state.path().join("started.json")).unwrap())
                .unwrap();
        record["init"]["pid"].as_i64().unwrap().try_into().unwrap()
    }

    fn assert_nothing_left(&self, pid_namespace: Option<u64>) {
        let mut left = Vec::new();
        for process in fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
        {
            let same = fs::metadata(process.join("ns/pid"))
                .is_ok_and(|found| Some(found.ino()) == pid_namespace);
            let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
            let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
            if same || arguments.contains(&*self.state.path().to_string_lossy()) {
                left.push(format!("process {} {arguments}", process.display()));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let state = self.state.path().to_string_lossy().into_owned();
        left.extend(
            mounts
                .lines()
                .filter(|line| line.contains(&state) || line.contains("/run/netns"))
                .map(str::to_owned),
        );
        let link = Path::new("/sys/class/net").join(format!("commons{}", self.number));
        let cgroup = format!("kube-commons-{}", self.number);
        let hierarchies = fs::read_dir("/sys/fs/cgroup")
            .unwrap()
            .flatten()
            .map(|entry| entry.path().join(&cgroup));
        let paths = hierarchies.chain([link, Path::new("/sys/fs/cgroup").join(&cgroup)]);
        left.extend(
            paths
                .filter(|path| path.exists())
                .map(|path| path.display().to_string()),
        );
        let routes = Command::new("ip")
            .args(["route", "show", "table", "all"])
            .output()
            .unwrap();
        let routes = String::from_utf8_lossy(&routes.stdout).into_owned();
        let network = format!("10.254.{}.", self.number);
        left.extend(
            routes
                .lines()
                .filter(|route| route.contains(&network))
                .map(str::to_owned),
        );
        assert!(left.is_empty(), "left over:\n{}", left.join("\n"));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A test that failed says why by itself.
        let _ = self.command(&["down"]).output();
    }
}

fn kubectl(program: &Path, kubeconfig: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--request-timeout=10s")
        .args(arguments)
        .output()
        .unwrap()
}

fn good(output: &Output, what: &[&str]) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success(),
        "{what:?} failed: {}\n{text}",
        output.status
    );
    text
}

fn until(condition: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{condition}: not after a minute"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn pid_namespace(pid: i32) -> u64 {
    fs::metadata(format!("/proc/{pid}/ns/pid")).unwrap().ino()
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[test]
fn up_twice_is_up_once_and_down_leaves_nothing() {
    let node = Node::new();
    node.assert_nothing_left(None);
    node.up();
    let first = node.init_pid();

    let started = Instant::now();
    assert!(node.ok(&["up"]).contains("up already"));
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "looking at a healthy node took {:?}",
        started.elapsed()
    );
    assert_eq!(node.init_pid(), first);

    for user in ["alice", "bob", "eve"] {
        let said = good(&node.kubectl(user, &["auth", "whoami"]), &["whoami"]);
        assert!(said.contains(&format!("oidc-{user}")), "{said}");
        good(
            &node.kubectl(user, &["auth", "can-i", "create", "deployments.apps"]),
            &["can-i"],
        );
    }
    assert!(
        !node
            .kubectl("bob", &["get", "pods", "-n", "user-alice"])
            .status
            .success(),
        "bob reads alice's pods"
    );

    let run = [
        "run",
        "box",
        "--image=busybox:1",
        "--restart=Never",
        "--",
        "sleep",
        "1000",
    ];
    good(&node.kubectl("alice", &run), &run);
    let wait = ["wait", "--for=condition=Ready", "pod/box", "--timeout=60s"];
    until("the pod is ready", || {
        node.kubectl("alice", &wait).status.success()
    });
    let token = "wget -q -O /dev/null --header \"Authorization: Bearer $(cat /var/run/secrets/kubernetes.io/serviceaccount/token)\" \
                 http://10.96.0.1:443/ 2>&1; nslookup kubernetes.default.svc.cluster.local";
    let exec = ["exec", "box", "--", "sh", "-c", token];
    let said = good(&node.kubectl("alice", &exec), &exec);
    assert!(
        said.contains("400 Bad Request"),
        "the API server is not reachable from a pod: {said}"
    );
    assert!(
        said.contains("10.96.0.1"),
        "names are not resolved in a pod: {said}"
    );

    let namespace = pid_namespace(first);
    let started = Instant::now();
    assert!(node.ok(&["down"]).contains("the node is down"));
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "taking a node down took {:?}",
        started.elapsed()
    );
    node.assert_nothing_left(Some(namespace));
    assert!(node.ok(&["down"]).contains("no node is up"));
    assert!(!node.run(&["status"]).status.success());
}

#[test]
fn whatever_is_killed_up_makes_it_well() {
    let node = Node::new();
    node.up();
    let first = node.init_pid();
    node.ok(&["fault", "kill", "controller-manager"]);
    assert!(!node.run(&["status"]).status.success());
    node.up();
    assert_ne!(node.init_pid(), first, "a broken node is made anew");

    signal(node.init_pid(), Signal::KILL);
    until("the first process is gone", || {
        !node.run(&["status"]).status.success()
    });
    node.up();

    // `cargo clean` while the node runs.
    let lost = node.init_pid();
    for entry in fs::read_dir(node.state.path()).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
    }
    let namespace = pid_namespace(lost);
    node.ok(&["down"]);
    node.assert_nothing_left(Some(namespace));

    let mut killed = node.half_up();
    killed.kill().unwrap();
    killed.wait().unwrap();
    node.up();
    node.ok(&["down"]);

    let mut interrupted = node.half_up();
    let namespace = pid_namespace(node.init_pid());
    signal(interrupted.id().try_into().unwrap(), Signal::INT);
    assert_eq!(interrupted.wait().unwrap().code(), Some(130));
    node.assert_nothing_left(Some(namespace));
}

#[test]
fn faults_happen_and_end() {
    let node = Node::new();
    node.up();
    let cluster = node.cluster();
    let answers = || {
        node.kubectl("admin", &["get", "--raw", "/readyz"])
            .status
            .success()
    };
    assert!(answers());

    cluster.fault(Fault::Kill(Component::Apiserver)).unwrap();
    assert!(!answers());
    cluster.fault(Fault::Start(Component::Apiserver)).unwrap();
    until("the API server is back", answers);

    cluster.fault(Fault::Stop(Component::Apiserver)).unwrap();
    let stopped = Command::new(cluster.kubectl())
        .arg("--kubeconfig")
        .arg(cluster.admin_kubeconfig())
        .args(["get", "--raw", "/readyz", "--request-timeout=1s"])
        .output()
        .unwrap();
    assert!(!stopped.status.success(), "a stopped API server answered");
    cluster
        .fault(Fault::Continue(Component::Apiserver))
        .unwrap();
    until("the API server goes on", answers);

    cluster.fault(Fault::CutLink).unwrap();
    let complaint = String::from_utf8_lossy(&node.run(&["status"]).stderr).into_owned();
    assert!(complaint.contains("link is cut"), "{complaint}");
    cluster.fault(Fault::RestoreLink).unwrap();
    until("the link is restored", answers);

    cluster.fault(Fault::Delay(Duration::ZERO)).unwrap();
    cluster.fault(Fault::Kill(Component::Scheduler)).unwrap();
    let error = cluster
        .fault(Fault::Stop(Component::Scheduler))
        .unwrap_err()
        .to_string();
    assert!(error.contains("scheduler does not run"), "{error}");
    cluster.fault(Fault::Start(Component::Scheduler)).unwrap();
    until("the node is well", || {
        node.run(&["status"]).status.success()
    });

    users(&node, &cluster);
    current(&node);
}

/// Users beyond the first ones.
fn users(node: &Node, cluster: &Cluster) {
    let started = Instant::now();
    let path = cluster
        .add_user("carol", Some("view"), &["one", "two", "three"])
        .unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "a user took {:?}",
        started.elapsed()
    );
    assert_eq!(
        path,
        cluster
            .add_user("carol", Some("view"), &["one", "two", "three"])
            .unwrap()
    );
    let said = good(&node.kubectl("carol", &["auth", "whoami"]), &["whoami"]);
    assert!(
        said.contains("[one two three system:authenticated]"),
        "{said}"
    );
    until("carol may look", || {
        node.kubectl("carol", &["get", "pods"]).status.success()
    });
    assert!(
        !node
            .kubectl("carol", &["create", "configmap", "a"])
            .status
            .success(),
        "carol may only look"
    );
    cluster.add_user("carol", Some("edit"), &[]).unwrap();
    until("carol may write", || {
        node.kubectl("carol", &["create", "configmap", "a"])
            .status
            .success()
    });

    cluster.add_user("dave", None, &[]).unwrap();
    good(&node.kubectl("dave", &["auth", "whoami"]), &["whoami"]);
    assert!(
        !node
            .kubectl("admin", &["get", "namespace", "user-dave"])
            .status
            .success()
    );

    cluster.remove_user("carol", true).unwrap();
    assert!(!path.exists());
    assert!(
        !node
            .kubectl("admin", &["get", "namespace", "user-carol"])
            .status
            .success()
    );
    cluster.remove_user("dave", true).unwrap();
    assert!(cluster.add_user("../eve", None, &[]).is_err());
}

/// The same node as a cluster that is not ours.
fn current(node: &Node) {
    let add = |name: &str, kubeconfig: &Path| {
        let output = node
            .command(&["user", "add", name, "--group", "one"])
            .env("COMMONS_TEST_CLUSTER", "current")
            .env("KUBECONFIG", kubeconfig)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            output,
        )
    };
    let (_, path, output) = add("frank", &node.kubeconfig("admin"));
    good(&output, &["user", "add", "frank"]);
    let here = std::env::current_dir().unwrap();
    let whoami = kubectl(
        node.cluster().kubectl(),
        &here.join(&path),
        &["auth", "whoami"],
    );
    let said = good(&whoami, &["whoami"]);
    assert!(
        said.contains("oidc-frank") && said.contains("[one system:authenticated]"),
        "{said}"
    );
    let config = fs::read_to_string(here.join(&path)).unwrap();
    assert!(
        config.contains("client-certificate-data") && !config.contains("as:"),
        "signed by the cluster"
    );
    let (ok, _, output) = add("grace", &node.kubeconfig("alice"));
    assert!(
        !ok && String::from_utf8_lossy(&output.stderr).contains("is not admin"),
        "{output:?}"
    );
    fs::remove_file(here.join(path)).unwrap();
}

#[test]
fn additions_come_to_a_node_and_come_back_with_it() {
    let node = Node::new();
    node.up();
    let first = node.init_pid();
    assert!(
        node.ok(&["up", "--with", "gateway"])
            .contains("has what was missing")
    );
    assert!(node.ok(&["up", "--with", "ingress"]).contains("up already"));
    let cluster = node.cluster();
    cluster
        .require(&[Addition::Ingress, Addition::Gateway])
        .unwrap();
    let error = cluster
        .require(&[Addition::Gateway, Addition::Haproxy])
        .unwrap_err()
        .to_string();
    assert!(error.contains("up --with haproxy`"), "{error}");
    assert_eq!(node.init_pid(), first);
    assert!(node.ok(&["status"]).contains("ingress, gateway"));
    // What an addition defines is for admins of a namespace too, and its controllers are not for users.
    good(
        &node.kubectl("alice", &["get", "httproutes"]),
        &["httproutes"],
    );
    let controller = ["get", "pods", "-n", "ingress-controller"];
    assert!(!node.kubectl("alice", &controller).status.success());

    let scale = [
        "scale",
        "deployment/traefik",
        "-n",
        "ingress-controller",
        "--replicas=0",
    ];
    good(&node.kubectl("admin", &scale), &scale);
    until("a node without its controller is not well", || {
        !node.run(&["status"]).status.success()
    });
    node.up();
    assert_ne!(node.init_pid(), first);
    assert!(node.ok(&["status"]).contains("ingress, gateway"));
}

#[test]
fn users_log_in_in_every_way() {
    let node = Node::new();
    node.up();
    let first = node.init_pid();
    let error = node
        .cluster()
        .add_user_with("alice", Some("admin"), &[], Login::Onyxia(Realm::Short))
        .unwrap_err()
        .to_string();
    assert!(error.contains("up --with keycloak`"), "{error}");
    assert!(
        node.ok(&["up", "--with", "keycloak"])
            .contains("has what was missing")
    );
    assert_eq!(node.init_pid(), first);
    let cluster = node.cluster();
    let types = |name: &str, arguments: &[&str]| {
        let kubectl = cluster.kubectl();
        let mut command = cluster.command_as(name, kubectl).unwrap();
        command.args(arguments).output().unwrap()
    };
    let whoami = ["auth", "whoami"];
    for (name, login, user) in [
        ("ann", Login::Certificate, "oidc-ann"),
        ("ben", Login::Onyxia(Realm::Sspcloud), "oidc-ben"),
        ("cat", Login::Kubelogin(Realm::SingleUse), "oidc-cat"),
        (
            "dan",
            Login::ServiceAccount,
            "system:serviceaccount:user-dan:dan",
        ),
    ] {
        // Twice is once.
        for _ in 0..2 {
            cluster
                .add_user_with(name, Some("admin"), &["one"], login)
                .unwrap();
        }
        let said = good(&types(name, &whoami), &whoami);
        assert!(said.contains(user), "{said}");
        let group = if name == "ann" { "[one" } else { "[oidc-one" };
        assert_eq!(said.contains(group), name != "dan", "{said}");
        let create = ["create", "configmap", "mine"];
        good(&types(name, &create), &create);
        let other = ["get", "pods", "-n", "user-alice"];
        assert!(!types(name, &other).status.success());
    }
    tokens_are_refreshed(&cluster, &types);
    good(&types("dan", &whoami), &whoami);
    let old = cluster.state().join("dan.token");
    let before = fs::read_to_string(&old).unwrap();
    cluster.revoke_token("dan").unwrap();
    until("the deleted Secret's token is refused", || {
        !types("dan", &whoami).status.success()
    });
    cluster.renew_token("dan", Duration::from_mins(10)).unwrap();
    assert_ne!(before, fs::read_to_string(&old).unwrap());
    good(&types("dan", &whoami), &whoami);

    cluster.fault(Fault::Kill(Component::Keycloak)).unwrap();
    assert!(!node.run(&["status"]).status.success());
    let namespace = pid_namespace(node.init_pid());
    node.ok(&["down"]);
    node.assert_nothing_left(Some(namespace));
}

/// An id-token that is over is refreshed, by a refresh token that is good once, until the session is ended.
fn tokens_are_refreshed(cluster: &Cluster, types: &dyn Fn(&str, &[&str]) -> Output) {
    let realm = Realm::SingleUse;
    let whoami = ["auth", "whoami"];
    let issuer = cluster.issuer().unwrap();
    let refreshes = || issuer.refreshes(realm, "fay").unwrap();
    cluster
        .add_user_with("fay", Some("admin"), &[], Login::Onyxia(realm))
        .unwrap();
    let kubeconfig = cluster.kubeconfig("fay");
    let first = fs::read(&kubeconfig).unwrap();
    assert_eq!(refreshes(), Refreshes::default());
    until("kubectl refreshes the id-token", || {
        good(&types("fay", &whoami), &whoami);
        refreshes().succeeded == 1
    });
    let second = fs::read(&kubeconfig).unwrap();
    assert_ne!(first, second);
    fs::write(&kubeconfig, first).unwrap();
    assert!(!types("fay", &whoami).status.success());
    assert_eq!(refreshes().succeeded, 1);
    assert!(refreshes().failed > 0);

    cluster
        .add_user_with("fay", Some("admin"), &[], Login::Onyxia(realm))
        .unwrap();
    issuer.end_sessions(realm, "fay").unwrap();
    until("a session that was ended gives no more tokens", || {
        !types("fay", &whoami).status.success()
    });
    assert_eq!(refreshes().succeeded, 0);
    assert_eq!(
        (
            Realm::Sspcloud.lifetimes().id_token,
            realm.lifetimes().single_use
        ),
        (Duration::from_mins(5), true)
    );
    let brief = Lifetimes {
        id_token: Duration::from_mins(2),
        ..Realm::Short.lifetimes()
    };
    issuer.set_lifetimes(Realm::Short, brief).unwrap();
    issuer.log_in(Realm::Short, "alice").unwrap();
}

#[test]
fn two_nodes_live_side_by_side() {
    let (one, other) = (Node::new(), Node::beside(78));
    let mut second = other
        .command(&["up"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    one.up();
    assert!(second.wait().unwrap().success());
    for node in [&one, &other] {
        node.ok(&["status"]);
        let run = [
            "run",
            "box",
            "--image=busybox:1",
            "--restart=Never",
            "--",
            "sleep",
            "1000",
        ];
        good(&node.kubectl("alice", &run), &run);
    }
    let wait = ["wait", "--for=condition=Ready", "pod/box", "--timeout=60s"];
    for node in [&one, &other] {
        until("the pod is ready", || {
            node.kubectl("alice", &wait).status.success()
        });
    }

    // Another checkout's node of the same number.
    let stranger = Node::beside(78);
    let refused = stranger.run(&["up"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("--node 79 up"),
        "{said}"
    );
    drop(stranger);
    other.ok(&["status"]);

    let namespace = pid_namespace(other.init_pid());
    other.ok(&["down"]);
    other.assert_nothing_left(Some(namespace));
    one.ok(&["status"]);
    good(
        &one.kubectl("alice", &["get", "pod", "box"]),
        &["get", "pod"],
    );
}

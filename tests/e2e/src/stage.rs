//! The people of one test, and what they leave behind.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use test_cluster::machine::{Package, ensure_packages};
use test_cluster::{Cluster, INGRESS_DOMAIN, Login, Progress};

use crate::machine::Machine;
use crate::outcome::{PATIENCE, eventually};
use crate::person::Person;
use crate::proxy::free_port;

/// The people of one test.
pub struct Stage {
    /// The cluster that they share.
    pub cluster: Cluster,
    tag: String,
    names: Vec<String>,
    _turn: Option<RwLockReadGuard<'static, ()>>,
}

/// Held for writing by who wants to be alone.
static TURNS: RwLock<()> = RwLock::new(());

/// That no other test of this process is on the cluster: for tests that measure time.
pub struct Alone {
    _turn: RwLockWriteGuard<'static, ()>,
}

impl Alone {
    /// Waits until the others have ended; they wait until this one has.
    pub fn on_the_cluster() -> Self {
        Self {
            _turn: TURNS.write().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// A stage of who is alone; there may be several at once.
    pub fn stage(&self) -> Stage {
        Stage::in_turn(None)
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// Finds the cluster; a test without one fails.
    pub fn new() -> Self {
        Self::in_turn(Some(TURNS.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn in_turn(turn: Option<RwLockReadGuard<'static, ()>>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let needed = [("postgresql-client", "psql"), ("curl", "curl")];
        let needed = needed.map(|(name, shows)| Package { name, shows });
        ensure_packages(&needed, &Progress::new()).unwrap_or_else(|error| panic!("{error}"));
        let cluster = Cluster::for_tests().unwrap_or_else(|error| panic!("{error}"));
        let tag = format!(
            "{:x}{:x}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        Self {
            cluster,
            tag,
            names: Vec::new(),
            _turn: turn,
        }
    }

    /// A stage for people who live on the cluster: their names are plain, and they stay.
    ///
    /// # Panics
    /// When there is no cluster.
    pub fn named() -> Self {
        let mut stage = Self::new();
        stage.tag.clear();
        stage
    }

    /// Somebody who lives on the cluster, under a plain name.
    pub fn resident(&mut self, name: &str) -> Person {
        let kubeconfig = self
            .cluster
            .add_user(name, Some("admin"), &[])
            .unwrap_or_else(|error| panic!("{error}"));
        self.somebody(name, kubeconfig)
    }

    fn somebody(&self, name: &str, kubeconfig: PathBuf) -> Person {
        Person {
            name: name.to_owned(),
            kubeconfig,
            kubectl: self.cluster.kubectl().to_owned(),
            machine: Machine::of(&self.cluster),
            at_workstation: false,
        }
    }

    /// Somebody with a namespace of their own, of which they are admin.
    pub fn person(&mut self, name: &str) -> Person {
        self.person_with(name, "admin", &[])
    }

    /// Somebody with this ClusterRole in a namespace of their own, and in these groups.
    pub fn person_with(&mut self, name: &str, role: &str, groups: &[&str]) -> Person {
        let name = format!("{name}-{}", self.tag);
        let kubeconfig = self
            .cluster
            .add_user(&name, Some(role), groups)
            .unwrap_or_else(|error| panic!("{error}"));
        self.names.push(name.clone());
        let person = self.somebody(&name, kubeconfig);
        Self::may_look(&person);
        person
    }

    /// Somebody with a namespace of their own, of which they are admin, who logs in this way.
    pub fn person_by(&mut self, name: &str, login: Login) -> Person {
        let name = format!("{name}-{}", self.tag);
        let kubeconfig = self
            .cluster
            .add_user_with(&name, Some("admin"), &[], login)
            .unwrap_or_else(|error| panic!("{error}"));
        self.names.push(name.clone());
        let person = Person {
            at_workstation: true,
            ..self.somebody(&name, kubeconfig)
        };
        Self::may_look(&person);
        person
    }

    fn may_look(person: &Person) {
        // The API server learns of new rights a moment after it has stored them.
        let may_look = ["auth", "can-i", "list", "pods", "-q"];
        eventually("the rights are there", PATIENCE, || {
            person.kubectl(&may_look).code == 0
        });
    }

    /// The cluster's administrator.
    pub fn admin(&self) -> Person {
        self.somebody("admin", self.cluster.admin_kubeconfig().to_owned())
    }

    /// An image registry of this test, by the name with which images are pulled from it; see tests/cluster/README.md for what it
    /// has. It is at a port of the node, since registries are asked for over plain http at `localhost` only.
    ///
    /// # Panics
    /// When it does not run in time.
    pub fn registry(&mut self) -> String {
        let port = free_port();
        let keeper = self.person("registry");
        keeper.applies(&format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: registry}}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
    - name: registry
      image: web:1
      imagePullPolicy: IfNotPresent
      args: [registry]
      env: [{{name: PORT, value: \"{port}\"}}]
      readinessProbe: {{tcpSocket: {{port: {port}}}, periodSeconds: 1}}
"
        ));
        let ready = [
            "wait",
            "pod/registry",
            "--for=condition=Ready",
            "--timeout=10m",
        ];
        keeper.kubectl(&ready).ok();
        format!("localhost:{port}")
    }

    /// A host that is this test's own, below the domain of the ingress controller: `COMMONS_TEST_DOMAIN`, or the own node's.
    ///
    /// # Panics
    /// On another cluster, when the variable is not set.
    pub fn host(&self, label: &str) -> String {
        let domain = std::env::var("COMMONS_TEST_DOMAIN").unwrap_or_else(|_| {
            assert!(
                self.cluster.is_own_node(),
                "set COMMONS_TEST_DOMAIN to the domain of the cluster's ingress controller"
            );
            INGRESS_DOMAIN.to_owned()
        });
        format!("{}.{domain}", self.own(label))
    }

    /// A name that is this test's own.
    pub fn own(&self, name: &str) -> String {
        format!("{name}-{}", self.tag)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let admin = self.admin();
            for name in &self.names {
                let state = admin.kubectl(&[
                    "get",
                    "all,endpoints,ingress,networkpolicy,role,rolebinding,configmap,events",
                    "-n",
                    &format!("user-{name}"),
                    "-o",
                    "wide",
                ]);
                let logs = admin.kubectl(&[
                    "logs",
                    "pod/pg-0",
                    "-n",
                    &format!("user-{name}"),
                    "--tail=20",
                ]);
                eprintln!(
                    "--- state of user-{name} ---\n{}{}{}",
                    state.stdout, state.stderr, logs.stdout
                );
            }
        }
        for name in &self.names {
            if let Err(error) = self.cluster.remove_user(name, false) {
                eprintln!("cannot remove {name}: {error}");
            }
        }
    }
}

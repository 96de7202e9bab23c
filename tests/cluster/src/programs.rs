//! The programs of the node and kubectl, compiled from Go modules whose `go.mod` and `go.sum` are part of this crate. They are built when
//! first asked for and kept in the cache under the hash of module, flags and compiler.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    cache::{Entry, Key, directory},
    error::{Context as _, Error, Result},
    external,
    interrupt::{self, LongChild},
    machine,
    progress::{Progress, readable},
};

/// The version of Kubernetes, and of kubectl.
pub const KUBERNETES: &str = "v1.35.4";

/// Disk that a first build wants: compiled packages, a link in progress and the result.
const BUILD_SPACE_GIB: u64 = 6;

/// A Go module of this crate: its files, as they are compiled.
struct Module {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
}

macro_rules! module {
    ($name:literal: $($file:literal),+) => {
        Module { name: $name, files: &[$(($file, include_str!(concat!("../modules/", $name, "/", $file)))),+] }
    };
}

static KUBENODE: Module = module!("kubenode": "go.mod", "go.sum", "main.go");
static NETPOL: Module = module!("netpol": "go.mod", "go.sum", "main.go");
static COREDNS: Module = module!("coredns": "go.mod", "go.sum", "main.go");
static TRAEFIK: Module = module!("traefik": "go.mod", "go.sum");
static KREW: Module = module!("krew": "go.mod", "go.sum");
static CNPG: Module = module!("cnpg": "go.mod", "go.sum");
static CERT_MANAGER: Module = module!("cert-manager": "go.mod", "go.sum", "main.go");
static HAPROXY_INGRESS: Module = module!("haproxy-ingress": "go.mod", "go.sum");
static KUBELOGIN: Module = module!("kubelogin": "go.mod", "go.sum");
static WEB: Module = module!("web": "go.mod", "main.go", "app.go", "registry.go");

/// A program that can be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// etcd and the Kubernetes components in one executable.
    Kubenode,
    /// Calico's policy agent and its CNI plugin in one executable.
    Felix,
    /// The cluster's DNS.
    Coredns,
    /// The ingress controller.
    Traefik,
    /// The controller that gets certificates.
    CertManager,
    /// The second ingress controller: it steers Debian's `HAProxy`.
    HaproxyIngress,
    /// The `CloudNativePG` operator.
    CnpgManager,
    /// The credential plugin `kubectl oidc-login`.
    Kubelogin,
    /// An app to deploy, and an image registry: what the image `web:1` runs.
    Web,
    /// The client of the same release as the node.
    Kubectl,
    /// The kubectl plugin manager.
    Krew,
    /// The check that the krew index runs on a manifest.
    ValidateKrewManifest,
}

/// What to compile, and which objects of the module to keep beside the program.
struct Recipe {
    module: &'static Module,
    package: &'static str,
    stamps: &'static [&'static str],
    /// Kubernetes objects that the module ships: module path, file or directory below it, name they are kept under.
    objects: Option<(&'static str, &'static str)>,
    /// Files that the program reads: module path, directory below it, which is kept under its own name.
    files: Option<(&'static str, &'static str)>,
    first_build: &'static str,
}

const VERSION_STAMPS: &[&str] = &[
    "k8s.io/component-base/version.gitVersion=v1.35.4",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=35",
];
const KUBECTL_STAMPS: &[&str] = &[
    "k8s.io/component-base/version.gitVersion=v1.35.4",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=35",
    "k8s.io/client-go/pkg/version.gitVersion=v1.35.4",
];

impl Program {
    /// Every program.
    pub const ALL: &[Self] = &[
        Self::Kubenode,
        Self::Felix,
        Self::Coredns,
        Self::Traefik,
        Self::CertManager,
        Self::HaproxyIngress,
        Self::CnpgManager,
        Self::Kubelogin,
        Self::Web,
        Self::Kubectl,
        Self::Krew,
        Self::ValidateKrewManifest,
    ];

    /// What its executable is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubenode => "kubenode",
            Self::Felix => "felix",
            Self::Coredns => "coredns",
            Self::Traefik => "traefik",
            Self::CertManager => "cert-manager",
            Self::HaproxyIngress => "haproxy-ingress",
            Self::CnpgManager => "cnpg-manager",
            Self::Kubelogin => "kubelogin",
            Self::Web => "web",
            Self::Kubectl => "kubectl",
            Self::Krew => "krew",
            Self::ValidateKrewManifest => "validate-krew-manifest",
        }
    }

    fn recipe(self) -> Recipe {
        let recipe = |module, package, first_build| Recipe {
            module,
            package,
            stamps: &[],
            objects: None,
            files: None,
            first_build,
        };
        match self {
            Self::Kubenode => Recipe {
                stamps: VERSION_STAMPS,
                ..recipe(&KUBENODE, ".", "8 min")
            },
            Self::Kubectl => Recipe {
                stamps: KUBECTL_STAMPS,
                ..recipe(&KUBENODE, "k8s.io/kubernetes/cmd/kubectl", "1 min")
            },
            Self::Felix => Recipe {
                objects: Some(("github.com/projectcalico/calico", "libcalico-go/config/crd")),
                ..recipe(&NETPOL, ".", "5 min")
            },
            Self::Coredns => recipe(&COREDNS, ".", "1 min"),
            Self::Kubelogin => recipe(&KUBELOGIN, "github.com/int128/kubelogin", "1 min"),
            Self::Web => recipe(&WEB, ".", "20 s"),
            Self::Traefik => Recipe {
                objects: Some(("sigs.k8s.io/gateway-api", "config/crd/standard")),
                ..recipe(
                    &TRAEFIK,
                    "github.com/traefik/traefik/v3/cmd/traefik",
                    "8 min",
                )
            },
            Self::Krew => recipe(&KREW, "sigs.k8s.io/krew/cmd/krew", "1 min"),
            Self::ValidateKrewManifest => recipe(
                &KREW,
                "sigs.k8s.io/krew/cmd/validate-krew-manifest",
                "1 min",
            ),
            Self::CertManager => Recipe {
                objects: Some(("github.com/cert-manager/cert-manager", "deploy/crds")),
                ..recipe(&CERT_MANAGER, ".", "4 min")
            },
            Self::HaproxyIngress => Recipe {
                files: Some(("github.com/jcmoraisjr/haproxy-ingress", "rootfs")),
                ..recipe(
                    &HAPROXY_INGRESS,
                    "github.com/jcmoraisjr/haproxy-ingress/pkg",
                    "3 min",
                )
            },
            Self::CnpgManager => Recipe {
                objects: Some((
                    "github.com/cloudnative-pg/cloudnative-pg",
                    "releases/cnpg-1.27.0.yaml",
                )),
                ..recipe(
                    &CNPG,
                    "github.com/cloudnative-pg/cloudnative-pg/cmd/manager",
                    "4 min",
                )
            },
        }
    }

    fn entry(self, go_version: &str) -> Result<Entry> {
        let recipe = self.recipe();
        let mut key = Key::new()
            .with(go_version)
            .with(machine::architecture())
            .with(recipe.package)
            .with(link_flags(&recipe));
        for (name, content) in recipe.module.files {
            key = key.with(name).with(content);
        }
        for (module, path) in [recipe.objects, recipe.files].into_iter().flatten() {
            key = key.with(module).with(path);
        }
        Entry::new("programs", &format!("{}-{}", self.name(), key.short()))
    }

    /// The directory that holds the program, built now if it was not yet.
    pub(crate) fn ensure(self, progress: &Progress) -> Result<PathBuf> {
        let (go, version) = machine::go()?;
        let entry = self.entry(&version)?;
        let waiting = || progress.doing(&format!("another run is building {}", self.name()));
        entry.get_or_make(waiting, |scratch| self.build(&go, scratch, progress))
    }

    /// The program's executable, built now if it was not yet.
    pub fn path(self, progress: &Progress) -> Result<PathBuf> {
        Ok(self.ensure(progress)?.join(self.name()))
    }

    #[expect(clippy::too_many_lines, reason = "one step after the other")]
    fn build(self, go: &Path, scratch: &Path, progress: &Progress) -> Result<()> {
        machine::check_free_space(&directory()?, BUILD_SPACE_GIB)?;
        let recipe = self.recipe();
        let started = Instant::now();
        progress.say(&format!(
            "building {} (the first time on a machine takes about {})",
            self.name(),
            recipe.first_build
        ));
        let module = scratch.join("module");
        let temporary = scratch.join("tmp");
        for directory in [&module, &temporary] {
            fs::create_dir(directory)
                .with_context(|| format!("{} cannot be made", directory.display()))?;
        }
        for (name, content) in recipe.module.files {
            fs::write(module.join(name), content).with_context(|| {
                format!("{name} of module {} cannot be written", recipe.module.name)
            })?;
        }
        let go_command = || {
            let mut command = Command::new(go);
            command
                .current_dir(&module)
                .env("CGO_ENABLED", "0")
                .env("GOTMPDIR", &temporary)
                .env("GOWORK", "off")
                .env_remove("GOFLAGS");
            command
        };
        progress.doing(&format!("{}: fetching Go modules", self.name()));
        let packages = self.run_go(
            go_command().args([
                "list",
                "-trimpath",
                "-deps",
                "-f",
                "{{.ImportPath}}",
                recipe.package,
            ]),
            |_| (),
        )?;
        let total = packages.lines().count();
        let mut compiled = 0;
        let mut build = go_command();
        build.args([
            "build",
            "-v",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags",
            &link_flags(&recipe),
            "-o",
        ]);
        build.arg(scratch.join(self.name())).arg(recipe.package);
        progress.doing(&format!("{}: compiling", self.name()));
        self.run_go(&mut build, |_| {
            compiled += 1;
            progress.doing(&format!(
                "{}: {compiled} packages compiled of at most {total}, {}",
                self.name(),
                readable(started.elapsed())
            ));
        })?;
        let directory_of = |path: &str| -> Result<PathBuf> {
            let mut list = go_command();
            list.args(["list", "-m", "-f", "{{.Dir}}", path]);
            Ok(PathBuf::from(self.run_go(&mut list, |_| ())?.trim()))
        };
        if let Some((path, below)) = recipe.files {
            copy_files(&directory_of(path)?.join(below), &scratch.join(below))?;
        }
        if let Some((path, below)) = recipe.objects {
            let objects = read_objects(&directory_of(path)?.join(below))?;
            fs::write(
                scratch.join("objects.json"),
                serde_json::to_vec(&objects).context("the module's objects cannot be kept")?,
            )
            .context("the module's objects cannot be kept")?;
        }
        for directory in [&module, &temporary] {
            crate::cache::remove_all(directory)?;
        }
        if started.elapsed() > Duration::from_secs(5) {
            progress.say(&format!(
                "built {} in {}",
                self.name(),
                readable(started.elapsed())
            ));
        }
        Ok(())
    }

    /// Runs go, calling `line` for each line it reports, and returns its standard output.
    fn run_go(self, command: &mut Command, mut line: impl FnMut(&str)) -> Result<String> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = LongChild::spawn(command)?;
        let (stdout, stderr) = (running.child.stdout.take(), running.child.stderr.take());
        let answer = std::thread::spawn(move || stdout.map(std::io::read_to_string).transpose());
        let mut said = Vec::new();
        for text in stderr
            .into_iter()
            .flat_map(|stderr| BufReader::new(stderr).lines())
            .map_while(std::result::Result::ok)
        {
            line(&text);
            said.push(text);
        }
        let answer = answer
            .join()
            .ok()
            .and_then(std::result::Result::ok)
            .flatten()
            .unwrap_or_default();
        let status = running
            .child
            .wait()
            .map_err(|error| external::not_started(command, &error))?;
        interrupt::check()?;
        if status.success() {
            return Ok(answer);
        }
        Err(external::failed(command, status.to_string(), &said.join("\n"))
            .because(format!("{} could not be built", self.name()))
            .hint("when modules cannot be fetched, check `go env GOPROXY`; when the disk is full, set `COMMONS_CACHE` and `GOCACHE`"))
    }

    /// The Kubernetes objects that the program's module ships.
    pub(crate) fn objects(self, progress: &Progress) -> Result<Vec<serde_json::Value>> {
        let file = self.ensure(progress)?.join("objects.json");
        let bytes =
            fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{} cannot be understood", file.display()))
    }
}

fn link_flags(recipe: &Recipe) -> String {
    recipe
        .stamps
        .iter()
        .fold("-s -w".to_owned(), |flags, stamp| {
            format!("{flags} -X {stamp}")
        })
}

/// Copies a directory of a module. Modules have no modes: what starts as a script can be run, everything can be read.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = || format!("{} cannot be copied", from.display());
    if from.is_dir() {
        fs::create_dir(to).with_context(failed)?;
        for entry in fs::read_dir(from).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            copy_files(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    let content = fs::read(from).with_context(failed)?;
    fs::write(to, &content).with_context(failed)?;
    let mode = if content.starts_with(b"#!") {
        0o755
    } else {
        0o644
    };
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).with_context(failed)
}

/// Reads the YAML documents of a file, or of every YAML file of a directory.
fn read_objects(path: &Path) -> Result<Vec<serde_json::Value>> {
    let failed = || format!("{} cannot be read", path.display());
    let files: BTreeSet<PathBuf> = if path.is_dir() {
        fs::read_dir(path)
            .with_context(failed)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
            .collect()
    } else {
        BTreeSet::from([path.to_owned()])
    };
    let mut objects = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text)
            .with_context(|| format!("{} cannot be understood", file.display()))?;
        objects.extend(documents.into_iter().filter(serde_json::Value::is_object));
    }
    if objects.is_empty() {
        return Err(Error::new(format!(
            "{} holds no Kubernetes object",
            path.display()
        )));
    }
    Ok(objects)
}

/// kubectl of the node's own release, built if needed.
pub fn kubectl() -> Result<PathBuf> {
    Program::Kubectl.path(&Progress::new())
}

/// The app and registry of the image `web:1`, built if needed.
pub fn web() -> Result<PathBuf> {
    Program::Web.path(&Progress::new())
}

/// krew, built if needed.
pub fn krew() -> Result<PathBuf> {
    Program::Krew.path(&Progress::new())
}

/// The check of the krew index for manifests, built if needed.
pub fn validate_krew_manifest() -> Result<PathBuf> {
    Program::ValidateKrewManifest.path(&Progress::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamped_version_is_the_one_of_the_module() {
        let go_mod = KUBENODE.files[0].1;
        assert!(go_mod.contains(&format!("k8s.io/kubernetes {KUBERNETES}")));
        for stamps in [VERSION_STAMPS, KUBECTL_STAMPS] {
            assert!(
                stamps
                    .iter()
                    .all(|stamp| !stamp.contains("gitVersion") || stamp.ends_with(KUBERNETES))
            );
        }
    }

    #[test]
    fn another_compiler_or_program_is_another_entry() {
        let path = |program: Program, go| program.entry(go).unwrap().path().to_owned();
        assert_eq!(
            path(Program::Krew, "go1.26.8"),
            path(Program::Krew, "go1.26.8")
        );
        assert_ne!(
            path(Program::Krew, "go1.26.8"),
            path(Program::Krew, "go1.26.9")
        );
        assert_ne!(
            path(Program::Kubenode, "go1.26.8"),
            path(Program::Kubectl, "go1.26.8")
        );
    }

    #[test]
    fn scripts_of_a_module_can_be_run() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::create_dir_all(from.join("etc")).unwrap();
        for (name, content) in [("run.sh", "#!/bin/sh\n"), ("etc/template", "text\n")] {
            fs::write(from.join(name), content).unwrap();
            fs::set_permissions(from.join(name), fs::Permissions::from_mode(0o444)).unwrap();
        }
        copy_files(&from, &to).unwrap();
        let mode = |name: &str| to.join(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("run.sh"), mode("etc/template")), (0o755, 0o644));
        assert_eq!(
            fs::read_to_string(to.join("etc/template")).unwrap(),
            "text\n"
        );
    }

    #[test]
    fn documents_that_are_no_object_are_left_out() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(
            directory.path().join("a.yaml"),
            "---\n# nothing\n---\nkind: A\n---\nkind: B\n",
        )
        .unwrap();
        fs::write(directory.path().join("README.md"), "kind: C\n").unwrap();
        let kinds: Vec<_> = read_objects(directory.path())
            .unwrap()
            .iter()
            .map(|object| object["kind"].clone())
            .collect();
        assert_eq!(kinds, ["A", "B"]);
    }
}

//! The container images of a node, made from Debian packages and from the programs built here: no image registry is asked for anything.

use std::{
    fs::{self, File},
    io::{BufWriter, Read as _},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    archive::{self, Image, Layer},
    cache::{Entry, Key, directory},
    error::{Context as _, Error, Result},
    external, interrupt, machine,
    programs::Program,
    progress::{Progress, readable},
};

/// The image that holds a pod's namespaces.
pub(crate) const PAUSE: &str = "docker.io/kube-commons/pause:1";
/// The image of the whole Debian layer, for what needs its programs.
pub(crate) const DEBIAN_SYSTEM: &str = "docker.io/kube-commons/debian:1";
/// The image of the `CloudNativePG` operator.
pub(crate) const CNPG_MANAGER: &str = "docker.io/kube-commons/cnpg-manager:1.27.0";

/// What the Debian layer is made of.
const DEBIAN: &[&str] = &[
    "--quiet",
    "--variant=minbase",
    "--include=postgresql-15,redis-server,socat,busybox-static,haproxy,lua-json",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    // CloudNativePG runs its databases as this user.
    "--customize-hook=chroot \"$1\" usermod -u 26 postgres",
    // The directory of the socket survives only if /run is not emptied. (By /run: /var/run is a link, which would lead out.)
    "--skip=cleanup/run",
    "--customize-hook=install -d -o 26 -g postgres -m 2775 \"$1\"/run/postgresql \"$1\"/var/lib/postgresql",
    "--customize-hook=rm -rf \"$1\"/var/lib/postgresql/15 \"$1\"/var/cache/apt/* \"$1\"/var/lib/apt/lists/* \"$1\"/var/log/*",
    concat!(
        "--customize-hook=cat > \"$1\"/usr/local/bin/entrypoint <<'END'\n",
        include_str!("entrypoint.sh"),
        "END\n"
    ),
    "--customize-hook=chmod 755 \"$1\"/usr/local/bin/entrypoint",
    "bookworm",
];

/// Counts the changes to this file that change an image.
const REVISION: &str = "1";

/// Disk that making the images wants.
const SPACE_GIB: u64 = 2;

/// An image of the node: its name, the layer it is made of, its configuration.
struct Recipe {
    reference: &'static str,
    layer: LayerKind,
    config: Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LayerKind {
    Busybox,
    Debian,
    Web,
}

fn recipes() -> Vec<Recipe> {
    let recipe = |reference, layer, config| Recipe {
        reference,
        layer,
        config,
    };
    vec![
        recipe(
            PAUSE,
            LayerKind::Busybox,
            json!({"Entrypoint": ["/bin/sleep", "2147483647"]}),
        ),
        recipe(
            "docker.io/library/busybox:1",
            LayerKind::Busybox,
            json!({"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]}),
        ),
        recipe(
            "docker.io/library/postgres:15",
            LayerKind::Debian,
            json!({
                "Entrypoint": ["/usr/local/bin/entrypoint"],
                "Cmd": ["postgres"],
                "Env": [
                    "PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "LANG=C.UTF-8",
                    "PGDATA=/var/lib/postgresql/data",
                ],
                "User": "26",
            }),
        ),
        recipe(
            "docker.io/library/redis:7",
            LayerKind::Debian,
            // As in the official image: no password, and connections from everywhere.
            json!({
                "Entrypoint": ["/usr/bin/redis-server", "--protected-mode", "no", "--save", "", "--dir", "/tmp"],
                "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "User": "26",
                "ExposedPorts": {"6379/tcp": {}},
            }),
        ),
        recipe(
            "docker.io/alpine/socat:1.8.0.3",
            LayerKind::Debian,
            json!({"Entrypoint": ["/usr/bin/socat"]}),
        ),
        recipe(
            DEBIAN_SYSTEM,
            LayerKind::Debian,
            json!({"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}),
        ),
        recipe(
            "docker.io/library/web:1",
            LayerKind::Web,
            // A number, so that the kubelet sees that it is not root.
            json!({"Entrypoint": ["/web"], "User": "1000", "ExposedPorts": {"8000/tcp": {}}}),
        ),
    ]
}

/// The names of the images that every node offers to tests.
pub fn references() -> Vec<&'static str> {
    recipes()
        .iter()
        .map(|recipe| recipe.reference)
        .filter(|reference| !reference.contains("/kube-commons/"))
        .collect()
}

/// containerd's content for a node: a directory of the cache to copy from.
pub(crate) fn store(progress: &Progress) -> Result<PathBuf> {
    let recipes = recipes();
    let web = Program::Web.path(progress)?;
    let containerd = external::run(external::command("containerd").arg("--version"))?;
    let mut key = Key::new()
        .with(REVISION)
        .with(containerd)
        .with(machine::architecture())
        .with(web.to_string_lossy().as_bytes());
    for part in DEBIAN {
        key = key.with(part);
    }
    for recipe in &recipes {
        key = key.with(recipe.reference).with(recipe.config.to_string());
    }
    let entry = Entry::new("images", &format!("store-{}", key.short()))?;
    entry.get_or_make(
        || progress.doing("another run is making the images"),
        |scratch| {
            machine::check_free_space(&directory()?, SPACE_GIB)?;
            let started = Instant::now();
            progress
                .say("making the container images (the first time on a machine takes about 1 min)");
            let debian_path = debian_layer(progress)?;
            progress.doing("images: writing");
            let busybox_path = scratch.join("busybox.tar");
            busybox_layer(&debian_path, &busybox_path)?;
            let web_path = scratch.join("web.tar");
            program_layer(&web, "web", &web_path)?;
            let (busybox, debian) = (Layer::read(&busybox_path)?, Layer::read(&debian_path)?);
            let web = Layer::read(&web_path)?;
            let images: Vec<Image> = recipes
                .iter()
                .map(|recipe| {
                    let layer = match recipe.layer {
                        LayerKind::Busybox => &busybox,
                        LayerKind::Debian => &debian,
                        LayerKind::Web => &web,
                    };
                    Image {
                        reference: recipe.reference,
                        layer,
                        config: recipe.config.clone(),
                    }
                })
                .collect();
            let archive = scratch.join("images.tar");
            write_archive(&images, &archive)?;
            progress.doing("images: unpacking");
            crate::store::unpack(&archive, &scratch.join("containerd"))?;
            for done in [&archive, &busybox_path, &web_path] {
                fs::remove_file(done)
                    .with_context(|| format!("{} cannot be removed", done.display()))?;
            }
            progress.say(&format!(
                "made the container images in {}",
                readable(started.elapsed())
            ));
            Ok(())
        },
    )
}

/// The image of the `CloudNativePG` operator, as an archive to load into a node.
pub(crate) fn operator_archive(progress: &Progress) -> Result<PathBuf> {
    let program = Program::CnpgManager.path(progress)?;
    let key = Key::new()
        .with(REVISION)
        .with(program.to_string_lossy().as_bytes())
        .with(CNPG_MANAGER);
    let entry = Entry::new("images", &format!("cnpg-manager-{}", key.short()))?;
    let made = entry.get_or_make(
        || progress.doing("another run is making the operator's image"),
        |scratch| {
            progress.doing("images: writing the operator's");
            let path = scratch.join("layer.tar");
            manager_layer(&program, &path)?;
            let layer = Layer::read(&path)?;
            let config =
                json!({"Entrypoint": ["/manager"], "User": "65532:65532", "WorkingDir": "/"});
            write_archive(
                &[Image {
                    reference: CNPG_MANAGER,
                    layer: &layer,
                    config,
                }],
                &scratch.join("image.tar"),
            )?;
            fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))
        },
    )?;
    Ok(made.join("image.tar"))
}

fn write_archive(images: &[Image], path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("{} cannot be made", path.display()))?;
    archive::write(images, BufWriter::new(file))
}

/// The Debian system that PostgreSQL, Redis and socat run in, as a layer.
fn debian_layer(progress: &Progress) -> Result<PathBuf> {
    let key = DEBIAN
        .iter()
        .fold(Key::new().with(machine::architecture()), |key, part| {
            key.with(part)
        });
    let entry = Entry::new("images", &format!("debian-{}", key.short()))?;
    let made = entry.get_or_make(
        || progress.doing("another run is making the Debian image"),
        |scratch| {
            machine::ensure_image_packages(progress)?;
            progress.doing("images: installing Debian packages");
            let mut command = external::command("mmdebstrap");
            command.args(DEBIAN).arg(scratch.join("layer.tar"));
            interrupt::run(command.env("TMPDIR", scratch)).map_err(|error| {
                error.hint("check that Debian's packages can be reached: `apt-get update`")
            })
        },
    )?;
    Ok(made.join("layer.tar"))
}

/// busybox, taken out of the Debian layer, under all its names.
fn busybox_layer(debian: &Path, output: &Path) -> Result<()> {
    let failed = || format!("{} cannot be read", debian.display());
    let mut system = tar::Archive::new(File::open(debian).with_context(failed)?);
    let mut program = Vec::new();
    for entry in system.entries().with_context(failed)? {
        let mut entry = entry.with_context(failed)?;
        if entry.path().with_context(failed)?.ends_with("bin/busybox")
            && entry.header().entry_type().is_file()
        {
            entry.read_to_end(&mut program).with_context(failed)?;
            break;
        }
    }
    if program.is_empty() {
        return Err(Error::new("the Debian image holds no busybox"));
    }
    let executable = output.with_extension("program");
    fs::write(&executable, &program).context("busybox cannot be written")?;
    make_executable(&executable)?;
    let names = external::run(Command::new(&executable).arg("--list"))?;
    let _ = fs::remove_file(&executable);

    let mut layer = LayerFile::create(output)?;
    for directory in ["bin/", "etc/", "tmp/", "home/"] {
        layer.directory(directory)?;
    }
    layer.file("bin/busybox", &program, 0o755)?;
    for name in names.lines().filter(|&name| name != "busybox") {
        layer.link(&format!("bin/{name}"), "busybox")?;
    }
    layer.file(
        "etc/passwd",
        b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
        0o644,
    )?;
    layer.file("etc/group", b"root:x:0:\nnobody:x:65534:\n", 0o644)?;
    layer.finish()
}

/// A static program and nothing else.
fn program_layer(program: &Path, name: &str, output: &Path) -> Result<()> {
    let mut layer = LayerFile::create(output)?;
    layer.program(name, program)?;
    layer.finish()
}

/// The operator's program where its releases have it.
fn manager_layer(program: &Path, output: &Path) -> Result<()> {
    let mut layer = LayerFile::create(output)?;
    layer.directory("tmp/")?;
    layer.directory("operator/")?;
    let name = format!("operator/manager_{}", machine::architecture());
    layer.program(&name, program)?;
    layer.link("manager", &name)?;
    layer.finish()
}

/// A layer being written.
struct LayerFile(tar::Builder<BufWriter<File>>);

impl LayerFile {
    fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(tar::Builder::new(BufWriter::new(file))))
    }

    fn entry(&mut self, name: &str, kind: tar::EntryType, mode: u32, bytes: &[u8]) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        self.0
            .append_data(&mut header, name, bytes)
            .with_context(|| format!("{name} cannot be put into a layer"))
    }

    fn directory(&mut self, name: &str) -> Result<()> {
        self.entry(
            name,
            tar::EntryType::Directory,
            if name == "tmp/" { 0o1777 } else { 0o755 },
            &[],
        )
    }

    fn file(&mut self, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
        self.entry(name, tar::EntryType::Regular, mode, bytes)
    }

    fn program(&mut self, name: &str, program: &Path) -> Result<()> {
        let bytes =
            fs::read(program).with_context(|| format!("{} cannot be read", program.display()))?;
        self.file(name, &bytes, 0o755)
    }

    fn link(&mut self, name: &str, target: &str) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        self.0
            .append_link(&mut header, name, target)
            .with_context(|| format!("{name} cannot be put into a layer"))
    }

    fn finish(self) -> Result<()> {
        self.0
            .into_inner()
            .and_then(|mut file| std::io::Write::flush(&mut file))
            .context("a layer cannot be finished")
    }
}

fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("{} cannot be made executable", path.display()))
}

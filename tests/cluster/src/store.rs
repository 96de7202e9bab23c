//! containerd's own storage: unpacked once per set of images, then copied for each node by hard links, which takes a moment and no room.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    error::{Context as _, Error, Result},
    external,
    interrupt::LongChild,
    wait,
};

/// Fills a new containerd root with the images of an archive. It happens in namespaces of its own: nothing is left mounted.
pub(crate) fn unpack(archive: &Path, root: &Path) -> Result<()> {
    let own = std::env::current_exe().context("the own program cannot be found")?;
    let mut command = external::command("unshare");
    command.args([
        "--pid",
        "--mount",
        "--mount-proc",
        "--net",
        "--fork",
        "--kill-child=KILL",
    ]);
    command
        .arg(own)
        .arg("unpack")
        .arg(archive)
        .arg(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut running = LongChild::spawn(&mut command)?;
    let said = running
        .child
        .stderr
        .take()
        .map(std::io::read_to_string)
        .transpose()
        .ok()
        .flatten()
        .unwrap_or_default();
    let status = running
        .child
        .wait()
        .map_err(|error| external::not_started(&command, &error))?;
    crate::interrupt::check()?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::new("the images cannot be unpacked")
            .because(status)
            .show(external::last_lines(&said, 25)))
    }
}

/// The part of [`unpack`] that runs as PID 1 of its own namespaces.
pub(crate) fn unpack_inside(archive: &Path, root: &Path) -> Result<()> {
    // Sockets and scratch of this containerd, gone with the mount namespace.
    rustix::mount::mount(
        "tmpfs",
        "/run",
        "tmpfs",
        rustix::mount::MountFlags::NOSUID,
        None::<&std::ffi::CStr>,
    )
    .context("/run cannot be covered")?;
    fs::create_dir_all(root).with_context(|| format!("{} cannot be made", root.display()))?;
    fs::create_dir("/run/store").context("/run/store cannot be made")?;
    rustix::mount::mount_bind(root, "/run/store")
        .with_context(|| format!("{} cannot be mounted", root.display()))?;
    let (socket, configuration, log) = (
        "/run/containerd.sock",
        "/run/containerd.toml",
        "/run/containerd.log",
    );
    let text = r#"version = 2
root = "/run/store"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "/run/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "/run/store/opt"
"#;
    fs::write(configuration, text).context("containerd cannot be configured")?;
    let log_file = fs::File::create(log).context("containerd has no log")?;
    let mut containerd = external::command("containerd")
        .args(["--config", configuration, "--log-level", "warn"])
        .env("TMPDIR", "/run")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log_file)
        .spawn()
        .context("containerd cannot be started")?;
    let imported = import_when_ready(&mut containerd, socket, archive);
    if let Some(pid) = i32::try_from(containerd.id()).ok().and_then(Pid::from_raw) {
        // It closes its databases; when it is gone already, the import has failed and says so.
        let _ = kill_process(pid, Signal::TERM);
    }
    containerd.wait().context("containerd does not end")?;
    imported.map_err(|error| {
        error.show(external::last_lines(
            &fs::read_to_string(log).unwrap_or_default(),
            15,
        ))
    })
}

fn import_when_ready(containerd: &mut Child, socket: &str, archive: &Path) -> Result<()> {
    wait::until("containerd answers", Duration::from_secs(30), || {
        if let Some(status) = containerd
            .try_wait()
            .context("containerd cannot be watched")?
        {
            return Err(Error::new("containerd ended").because(status));
        }
        Ok(external::run(external::command("ctr").args(["--address", socket, "version"])).ok())
    })?;
    external::run(
        external::command("ctr")
            .args([
                "--address",
                socket,
                "--namespace",
                "k8s.io",
                "images",
                "import",
            ])
            .arg(archive),
    )
    .map(drop)
}

/// Gives a node its own copy of an unpacked store. Files are shared, since layers are never written to; databases are copied.
pub(crate) fn copy(store: &Path, root: &Path) -> Result<()> {
    let from = store.join("containerd");
    let linked = external::run(
        external::command("cp")
            .args(["--archive", "--link", "--no-target-directory"])
            .arg(&from)
            .arg(root),
    );
    if linked.is_err() {
        // Another file system: copy in earnest.
        crate::cache::remove_all(root)?;
        external::run(
            external::command("cp")
                .args(["--archive", "--reflink=auto", "--no-target-directory"])
                .arg(&from)
                .arg(root),
        )?;
        return Ok(());
    }
    for database in databases(root)? {
        let failed = || format!("{} cannot be copied", database.display());
        let copy = database.with_extension("copy");
        fs::copy(&database, &copy).with_context(failed)?;
        fs::rename(&copy, &database).with_context(failed)?;
    }
    Ok(())
}

/// The files directly below containerd's plugin directories: its databases.
fn databases(root: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("{} cannot be read", root.display());
    let mut found = Vec::new();
    for plugin in fs::read_dir(root).with_context(failed)? {
        let plugin = plugin.with_context(failed)?.path();
        for entry in fs::read_dir(&plugin).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

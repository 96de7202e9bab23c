//! From a developer's shell to a daemon: what starts the node lets go of the terminal and of every file the shell or a test harness had
//! open (a lock, a pipe somebody waits on), then becomes `unshare`, which makes the namespaces.

use std::{env, fs, os::unix::process::CommandExt as _};

use rustix::fs::Mode;

use crate::{
    error::{Context as _, Result},
    external,
    layout::Layout,
};

/// Becomes the parent of the node's first process; returns only when that fails.
pub(crate) fn run(layout: &Layout) -> Result<()> {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")
        .context("open files cannot be listed")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&descriptor| descriptor > 2)
        .collect();
    for descriptor in open {
        // One of them was the directory just read, which is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    rustix::process::setsid().context("the terminal cannot be left")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let own = env::current_exe().context("the own program cannot be found")?;
    let mut command = external::command("unshare");
    command
        .args([
            "--pid",
            "--mount",
            "--net",
            "--uts",
            "--ipc",
            "--fork",
            "--kill-child=KILL",
        ])
        .arg(own)
        .args(["--node", &layout.number().to_string(), "--state"])
        .arg(layout.state())
        .arg("init");
    let error = command.exec();
    Err(external::not_started(&command, &error))
}

//! Who a process is, so that a number that has since been given to a stranger is never signalled.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::error::{Context as _, Error, Result};

/// A process of this boot, told from every other one by its start time and pid namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its number as the host sees it.
    pub pid: i32,
    /// Clock ticks between boot and its start (`/proc/PID/stat`, field 22).
    pub started: u64,
    /// Inode of the pid namespace it lives in.
    pub pid_namespace: u64,
    /// The boot this was recorded in: start times repeat across boots.
    pub boot: String,
}

impl ProcessIdentity {
    /// Reads the identity of a running process.
    pub fn of(pid: i32) -> Result<Self> {
        let (started, _) =
            stat(pid).ok_or_else(|| Error::new(format!("process {pid} is not there")))?;
        Ok(Self {
            pid,
            started,
            pid_namespace: pid_namespace(pid).context("its pid namespace cannot be read")?,
            boot: boot()?,
        })
    }

    /// Whether this very process still runs (a zombie does not).
    pub fn is_alive(&self) -> bool {
        boot().is_ok_and(|boot| boot == self.boot)
            && stat(self.pid).is_some_and(|(started, state)| {
                started == self.started && !matches!(state, 'Z' | 'X')
            })
    }

    /// Sends SIGKILL to this very process; `false` when it is no longer there. The pid is pinned before it is checked.
    pub fn kill(&self) -> Result<bool> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(false);
        };
        let Ok(pinned) = pidfd_open(pid, PidfdFlags::empty()) else {
            return Ok(false);
        };
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(&pinned, Signal::KILL) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => {
                Err(Error::new(format!("process {} cannot be killed", self.pid)).because(error))
            }
        }
    }

    /// Processes that live in this one's pid namespace, as the host numbers them.
    pub fn namespace_members(&self) -> Vec<i32> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|&pid| pid_namespace(pid).is_ok_and(|inode| inode == self.pid_namespace))
            .filter(|&pid| stat(pid).is_some_and(|(_, state)| state != 'Z'))
            .collect()
    }
}

impl ProcessIdentity {
    /// The number by which the host knows the process that its own namespace knows as `inner`.
    pub fn host_number(&self, inner: i32) -> Option<i32> {
        self.namespace_members().into_iter().find(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            numbers.and_then(|numbers| numbers.split_whitespace().next_back()?.parse().ok())
                == Some(inner)
        })
    }
}

/// Start time and state letter of a process.
pub fn stat(pid: i32) -> Option<(u64, char)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command name stands in parentheses and may itself hold spaces and parentheses, so fields count from the last one.
fn parse_stat(stat: &str) -> Option<(u64, char)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.nth(18)?.parse().ok()?, state))
}

fn pid_namespace(pid: i32) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(fs::metadata(format!("/proc/{pid}/ns/pid"))?.ino())
}

/// The id of this boot.
pub(crate) fn boot() -> Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .context("the boot id cannot be read")?;
    Ok(id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 1 1";
        assert_eq!(parse_stat(line), Some((98765, 'S')));
    }

    #[test]
    fn a_running_process_is_itself() {
        let own = ProcessIdentity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.is_alive());
        assert!(own.namespace_members().contains(&own.pid));
    }

    #[test]
    fn a_reused_number_is_a_stranger() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let mut recorded = ProcessIdentity::of(i32::try_from(child.id()).unwrap()).unwrap();
        recorded.started -= 1;
        assert!(!recorded.is_alive());
        assert!(!recorded.kill().unwrap());
        assert!(
            child.try_wait().unwrap().is_none(),
            "the stranger was killed"
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_record_of_another_boot_is_a_stranger() {
        let mut own = ProcessIdentity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        own.boot = "another".to_owned();
        assert!(!own.is_alive());
        assert!(!own.kill().unwrap());
    }

    #[test]
    fn a_killed_process_is_gone() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let recorded = ProcessIdentity::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(recorded.kill().unwrap());
        child.wait().unwrap();
        assert!(!recorded.is_alive());
    }
}

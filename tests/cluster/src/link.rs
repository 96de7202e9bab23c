//! The one thing of a node that shows on the host: a virtual link, marked with whose it is.

use std::net::Ipv4Addr;

use serde_json::Value;

use crate::{
    error::{Context as _, Error, Result},
    external,
    identity::ProcessIdentity,
    layout::{COMMAND, Layout},
};

/// Says on a link whose it is: the first process of a node and the node's state directory. The kernel takes 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    pid: i32,
    started: u64,
    pid_namespace: u64,
    state: String,
}

impl Mark {
    fn of(init: &ProcessIdentity, layout: &Layout) -> Self {
        Self {
            pid: init.pid,
            started: init.started,
            pid_namespace: init.pid_namespace,
            state: marked_state(layout),
        }
    }

    fn write(&self) -> String {
        format!(
            "kube-commons {} {} {} {}",
            self.pid, self.started, self.pid_namespace, self.state
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("kube-commons ")?.splitn(4, ' ');
        Some(Self {
            pid: parts.next()?.parse().ok()?,
            started: parts.next()?.parse().ok()?,
            pid_namespace: parts.next()?.parse().ok()?,
            state: parts.next()?.to_owned(),
        })
    }
}

/// As much of the state directory's path as fits.
fn marked_state(layout: &Layout) -> String {
    let path = layout.state().display().to_string();
    let start = path
        .char_indices()
        .map(|(index, _)| index)
        .find(|index| path.len() - index <= 180)
        .unwrap_or(0);
    path[start..].to_owned()
}

fn ip(arguments: &[&str]) -> Result<String> {
    external::run(external::command("ip").args(arguments))
}

/// A link of the host that has the node's name or an address of its network.
struct Found {
    name: String,
    mark: Option<Mark>,
    /// Both ends are up.
    connected: bool,
    has_address: bool,
}

fn links(layout: &Layout) -> Result<Vec<Found>> {
    let answer = ip(&["-json", "-details", "address", "show"])?;
    let listed: Vec<Value> =
        serde_json::from_str(&answer).context("`ip -json` answers something else")?;
    let ours = u32::from(layout.host_address()) & !3;
    Ok(listed
        .iter()
        .filter_map(|link| {
            let addresses = link["addr_info"].as_array()?;
            Some(Found {
                name: link["ifname"].as_str()?.to_owned(),
                mark: link["ifalias"].as_str().and_then(Mark::parse),
                connected: link["operstate"] == "UP",
                has_address: addresses
                    .iter()
                    .filter_map(|address| address["local"].as_str()?.parse::<Ipv4Addr>().ok())
                    .any(|address| u32::from(address) & !3 == ours),
            })
        })
        .filter(|link| link.name == layout.link() || link.has_address)
        .collect())
}

impl Found {
    fn is_ours(&self, layout: &Layout) -> bool {
        self.mark
            .as_ref()
            .is_some_and(|mark| mark.state == marked_state(layout))
    }
}

/// The node's link, if it exists.
fn own(layout: &Layout) -> Result<Option<Found>> {
    Ok(links(layout)?
        .into_iter()
        .find(|link| link.name == layout.link() && link.is_ours(layout)))
}

/// The first process of the node that the link was made for.
pub(crate) fn owner(layout: &Layout) -> Result<Option<ProcessIdentity>> {
    let Some(mark) = own(layout)?.and_then(|link| link.mark) else {
        return Ok(None);
    };
    // Links do not outlast a boot.
    Ok(Some(ProcessIdentity {
        pid: mark.pid,
        started: mark.started,
        pid_namespace: mark.pid_namespace,
        boot: crate::identity::boot()?,
    }))
}

/// Fails when the link's name or address belongs to somebody else.
pub(crate) fn check_free(layout: &Layout) -> Result<()> {
    let Some(other) = links(layout)?
        .into_iter()
        .find(|link| !link.is_ours(layout))
    else {
        return Ok(());
    };
    let next = layout.number().saturating_add(1);
    let error = Error::new(format!(
        "node {} cannot have {} on link {}",
        layout.number(),
        layout.host_address(),
        layout.link()
    ));
    let another = format!("use another number: `{COMMAND} --node {next} up`");
    Err(match other.mark {
        Some(Mark { state, .. }) => error
            .because(format!("the node of {state} has it"))
            .hint(format!(
                "take that one down: `{COMMAND} --state {state} down`"
            ))
            .hint(another),
        None => error
            .because(format!("link {} of this machine is in the way", other.name))
            .hint(another),
    })
}

/// The node's addresses: the link's network and the address beyond it.
fn network(layout: &Layout) -> String {
    format!(
        "{}/29",
        Ipv4Addr::from(u32::from(layout.host_address()) & !7)
    )
}

/// A route that counts only while the link is missing: without it, packets for a node that is gone would leave the machine.
fn guard(layout: &Layout, action: &str) -> Result<String> {
    ip(&[
        "route",
        action,
        "unreachable",
        &network(layout),
        "metric",
        "10000",
    ])
}

/// Makes the link between the host and the network namespace of process `init`.
pub(crate) fn create(layout: &Layout, init: &ProcessIdentity) -> Result<()> {
    let (link, address) = (layout.link(), format!("{}/30", layout.host_address()));
    let (second, node) = (
        layout.second_address().to_string(),
        layout.address().to_string(),
    );
    let (pid, mark) = (init.pid.to_string(), Mark::of(init, layout).write());
    guard(layout, "replace")
        .and_then(|_| {
            ip(&[
                "link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &pid,
            ])
        })
        .and_then(|_| ip(&["link", "set", &link, "alias", &mark]))
        .and_then(|_| ip(&["address", "add", &address, "dev", &link]))
        .and_then(|_| ip(&["link", "set", &link, "up"]))
        .and_then(|_| ip(&["route", "replace", &second, "via", &node, "dev", &link]))
        .map(drop)
        .context("the link to the node cannot be made")
}

/// Removes the link if it is this node's.
pub(crate) fn remove(layout: &Layout) -> Result<()> {
    if is_there(layout)? {
        let deleted = ip(&["link", "delete", &layout.link()]);
        // The kernel removes it by itself when the node's namespace ends, perhaps just now.
        if is_there(layout)? {
            deleted?;
        }
    }
    if is_guarded(layout)? && links(layout)?.is_empty() {
        guard(layout, "delete")?;
    }
    Ok(())
}

/// Whether this node's link exists.
pub(crate) fn is_there(layout: &Layout) -> Result<bool> {
    Ok(own(layout)?.is_some())
}

/// Whether this node's link exists, is connected, and has its address.
pub(crate) fn is_up(layout: &Layout) -> Result<bool> {
    Ok(own(layout)?.is_some_and(|link| link.connected && link.has_address))
}

/// Whether the route is there that keeps packets for this node on the machine.
pub(crate) fn is_guarded(layout: &Layout) -> Result<bool> {
    Ok(!ip(&[
        "route",
        "show",
        "type",
        "unreachable",
        "exact",
        &network(layout),
    ])?
    .trim()
    .is_empty())
}

/// Cuts or restores the link between the host and the node, at the node's end: as with a pulled cable, the host's routes stay and what is
/// sent is lost.
pub(crate) fn set(layout: &Layout, up: bool) -> Result<()> {
    let init = owner(layout)?.ok_or_else(|| Error::new("the node's link is not there"))?;
    let commands = if up {
        format!(
            "link set eth0 up\nroute replace default via {}\n",
            layout.host_address()
        )
    } else {
        "link set eth0 down\n".to_owned()
    };
    let mut command = external::command("nsenter");
    command.args([
        "--target",
        &init.pid.to_string(),
        "--net",
        "--",
        "ip",
        "-batch",
        "-",
    ]);
    external::run_with_input(&mut command, &commands).map(drop)
}

/// Delays every packet from the host to the node; zero ends it.
pub(crate) fn delay(layout: &Layout, milliseconds: u128) -> Result<()> {
    let link = layout.link();
    if milliseconds == 0 {
        // Without a delay there is nothing to delete.
        let _ = external::run(external::command("tc").args(["qdisc", "del", "dev", &link, "root"]));
        return Ok(());
    }
    let time = format!("{milliseconds}ms");
    external::run(external::command("tc").args([
        "qdisc", "replace", "dev", &link, "root", "netem", "delay", &time,
    ]))
    .map(drop)
    .map_err(|error| {
        let unknown = error.to_string().contains("kind is unknown");
        if unknown {
            Error::new("this kernel has no netem, which delays packets")
                .hint("use `fault cut` instead, or another kernel")
        } else {
            error
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let init = ProcessIdentity {
            pid: 7,
            started: 8,
            pid_namespace: 9,
            boot: String::new(),
        };
        let mark = Mark::of(&init, &Layout::new(0, "/a path/with spaces"));
        assert_eq!(Mark::parse(&mark.write()), Some(mark));
        assert_eq!(Mark::parse("somebody else's"), None);
    }

    #[test]
    fn a_mark_fits_the_kernel() {
        let layout = Layout::new(0, format!("/{}", "ä/".repeat(400)));
        let init = ProcessIdentity {
            pid: i32::MAX,
            started: u64::MAX,
            pid_namespace: u64::from(u32::MAX),
            boot: String::new(),
        };
        assert!(Mark::of(&init, &layout).write().len() <= 255);
    }
}

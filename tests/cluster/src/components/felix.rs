//! Calico's policy agent: `NetworkPolicies` become packet filter rules.

use super::{CommandLine, Setup, component_kubeconfig};
use crate::{error::Result, layout::NODE_NAME, programs::Program};

/// Where it answers whether its rules are in place.
pub(crate) const HEALTH_PORT: u16 = 9099;

pub(super) fn prepare(setup: &Setup) -> Result<CommandLine> {
    let address = setup.layout.address().to_string();
    Ok(
        CommandLine::new(setup.program(Program::Felix)?, &[]).with_environment(&[
            ("KUBECONFIG", &component_kubeconfig("admin")),
            ("DATASTORE_TYPE", "kubernetes"),
            ("CALICO_NETWORKING_BACKEND", "none"),
            ("FELIX_DATASTORETYPE", "kubernetes"),
            ("FELIX_FELIXHOSTNAME", NODE_NAME),
            // This version has no nftables mode of its own; iptables-nft lives well beside kube-proxy.
            ("FELIX_IPTABLESBACKEND", "NFT"),
            ("FELIX_IPV6SUPPORT", "false"),
            ("FELIX_BPFENABLED", "false"),
            // Its default would cut pods off from the API server, which runs on this host.
            ("FELIX_DEFAULTENDPOINTTOHOSTACTION", "RETURN"),
            ("FELIX_USAGEREPORTINGENABLED", "false"),
            ("FELIX_LOGFILEPATH", "none"),
            ("FELIX_LOGSEVERITYFILE", "none"),
            ("FELIX_LOGSEVERITYSYS", "none"),
            ("FELIX_LOGSEVERITYSCREEN", "warning"),
            // Otherwise a missing link makes it start over.
            ("FELIX_MTUIFACEPATTERN", "^(node0|eth0)$"),
            ("FELIX_HEALTHENABLED", "true"),
            ("FELIX_HEALTHHOST", &address),
            ("FELIX_HEALTHPORT", &HEALTH_PORT.to_string()),
        ]),
    )
}

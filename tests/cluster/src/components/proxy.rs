//! kube-proxy, in nftables mode. It trusts chains of an earlier run, which the node's own network namespace rules out.

use serde_json::json;

use super::{CommandLine, Setup, component_kubeconfig};
use crate::{
    error::Result,
    layout::{NODE_NAME, POD_GATEWAY},
    programs::Program,
};

/// Where it answers whether its rules are in place.
pub(crate) const HEALTH_PORT: u16 = 10256;

pub(super) fn prepare(setup: &Setup) -> Result<CommandLine> {
    let configuration = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": "10.244.0.0/16",
        "clientConnection": {"kubeconfig": component_kubeconfig("proxy")},
        "bindAddress": POD_GATEWAY,
        "healthzBindAddress": format!("{}:{HEALTH_PORT}", setup.layout.address()),
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        // The host's connection tracking stays as it is.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    });
    let path = setup.configuration("proxy.yaml", &configuration.to_string())?;
    Ok(CommandLine::new(
        setup.program(Program::Kubenode)?,
        &["proxy", "--config", &path, "--hostname-override", NODE_NAME],
    ))
}

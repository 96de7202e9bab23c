//! The kubelet. Two kubelets on one machine must not share a cgroup root: each would end the other's pods as orphans.

use serde_json::json;

use super::{CommandLine, Setup, component_kubeconfig};
use crate::{
    error::Result,
    layout::{NODE_NAME, POD_GATEWAY, inside},
    programs::Program,
};

/// Where the kernel shows cgroups.
pub(crate) const CGROUP_HIERARCHY: &str = "/sys/fs/cgroup";

pub(super) fn prepare(setup: &Setup) -> Result<CommandLine> {
    let configuration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": POD_GATEWAY,
        "tlsCertFile": inside("pki/kubelet.crt"),
        "tlsPrivateKeyFile": inside("pki/kubelet.key"),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": inside("pki/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", setup.layout.cgroup()),
        // Hosts with cgroup v1 are still around.
        "failCgroupV1": false,
        "failSwapOn": false,
        // Anything else needs CAP_SYS_RESOURCE.
        "oomScoreAdj": 0,
        "clusterDNS": [POD_GATEWAY],
        "clusterDomain": "cluster.local",
        "resolvConf": "/dev/null",
        "containerRuntimeEndpoint": format!("unix://{}", inside("containerd.sock")),
        "evictionHard": {
            "memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%",
        },
        // Images cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": inside("podlogs"),
        "volumePluginDir": inside("flexvolume"),
    });
    let path = setup.configuration("kubelet.yaml", &configuration.to_string())?;
    Ok(CommandLine::new(
        setup.program(Program::Kubenode)?,
        &[
            "kubelet",
            "--config",
            &path,
            "--kubeconfig",
            &component_kubeconfig("kubelet"),
            "--hostname-override",
            NODE_NAME,
            "--node-ip",
            &POD_GATEWAY.to_string(),
            "--root-dir",
            &inside("kubelet"),
        ],
    ))
}

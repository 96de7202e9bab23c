//! containerd, and the network configuration it gives to pods. The configuration is Calico's before the first pod: pods of another plugin
//! would be outside every `NetworkPolicy`, silently.

use serde_json::json;

use super::{CommandLine, Setup, component_kubeconfig};
use crate::{
    error::{Context as _, Result},
    external,
    images::PAUSE,
    layout::{NODE_NAME, inside},
};

/// Where the CNI plugins are, below the state.
pub(crate) const CNI_PROGRAMS: &str = "cni/bin";

pub(super) fn prepare(setup: &Setup) -> Result<CommandLine> {
    // restrict_oom_score_adj: where CAP_SYS_RESOURCE is missing, runc cannot lower the score and would start no pod.
    let configuration = format!(
        r#"version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{bin}"
    conf_dir = "{conf}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{opt}"
"#,
        root = inside("containerd"),
        state = "/run/containerd",
        socket = inside("containerd.sock"),
        bin = inside(CNI_PROGRAMS),
        conf = inside("etc/cni"),
        opt = inside("containerd/opt"),
    );
    let network = json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "calico",
                "datastore_type": "kubernetes",
                "nodename": NODE_NAME,
                "nodename_file_optional": true,
                "mtu": 1500,
                "log_level": "info",
                "log_file_path": inside("log/cni.log"),
                "ipam": {
                    "type": "host-local",
                    "dataDir": inside("ipam"),
                    "ranges": [[{"subnet": "10.244.0.0/24", "rangeStart": "10.244.0.10"}]],
                },
                "policy": {"type": "k8s"},
                "kubernetes": {"kubeconfig": component_kubeconfig("admin")},
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    setup.configuration("cni/10-calico.conflist", &network.to_string())?;
    let path = setup.configuration("containerd.toml", &configuration)?;
    let program = external::find("containerd")
        .ok_or("it is not in PATH")
        .context("containerd is missing")?;
    Ok(CommandLine::new(
        program.display().to_string(),
        &["--config", &path],
    ))
}

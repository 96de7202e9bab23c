//! `CoreDNS`, for pods and for the host: `cluster.local` from the API, and every name of the ingress domain is the node.

use super::{CommandLine, Setup, component_kubeconfig};
use crate::{
    error::Result,
    layout::{INGRESS_DOMAIN, POD_GATEWAY},
    programs::Program,
};

pub(super) fn prepare(setup: &Setup) -> Result<CommandLine> {
    let address = setup.layout.address();
    let configuration = format!(
        "cluster.local:53 {INGRESS_DOMAIN}:53 {{
  bind {POD_GATEWAY} {address}
  errors
  template IN A {INGRESS_DOMAIN} {{
    answer \"{{{{ .Name }}}} 5 IN A {address}\"
  }}
  kubernetes cluster.local {{
    kubeconfig {kubeconfig}
  }}
}}
",
        kubeconfig = component_kubeconfig("admin"),
    );
    let path = setup.configuration("Corefile", &configuration)?;
    Ok(CommandLine::new(
        setup.program(Program::Coredns)?,
        &["-conf", &path],
    ))
}

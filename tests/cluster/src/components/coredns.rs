//! `CoreDNS`, for pods and for the host: `cluster.local` from the API, and every name of an ingress domain is its controller.

use super::{CommandLine, Setup, component_kubeconfig};
use crate::{
    error::Result,
    layout::{GATEWAY_DOMAIN, INGRESS_DOMAIN, LOGIN_HOST, POD_GATEWAY, SECOND_DOMAIN},
    programs::Program,
};

pub(super) fn prepare(setup: &Setup) -> Result<CommandLine> {
    let address = setup.layout.address();
    let second = setup.layout.second_address();
    let configuration = format!(
        "cluster.local:53 {INGRESS_DOMAIN}:53 {GATEWAY_DOMAIN}:53 {SECOND_DOMAIN}:53 {LOGIN_HOST}:53 {{
  bind {POD_GATEWAY} {address}
  errors
  template IN A {INGRESS_DOMAIN} {GATEWAY_DOMAIN} {LOGIN_HOST} {{
    answer \"{{{{ .Name }}}} 5 IN A {address}\"
  }}
  template IN A {SECOND_DOMAIN} {{
    answer \"{{{{ .Name }}}} 5 IN A {second}\"
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

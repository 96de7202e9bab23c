//! Traefik, the default `IngressClass`, with a certificate for every name of the ingress domain.

use super::{CommandLine, Setup, component_kubeconfig};
use crate::{
    certificates, error::Result, layout::INGRESS_DOMAIN, layout::inside, programs::Program,
};

pub(super) fn prepare(setup: &Setup) -> Result<CommandLine> {
    certificates::self_signed(&[&format!("*.{INGRESS_DOMAIN}")])?
        .write(&setup.layout.path("pki"), "ingress")?;
    let address = setup.layout.address();
    let certificate = format!(
        "tls: {{stores: {{default: {{defaultCertificate: {{certFile: {}, keyFile: {}}}}}}}}}\n",
        inside("pki/ingress.crt"),
        inside("pki/ingress.key")
    );
    let dynamic = setup.configuration("traefik.yaml", &certificate)?;
    Ok(CommandLine::new(
        setup.program(Program::Traefik)?,
        &[
            &format!("--entrypoints.web.address={address}:80"),
            &format!("--entrypoints.websecure.address={address}:443"),
            "--entrypoints.websecure.http.tls=true",
            "--providers.kubernetesingress=true",
            &format!("--providers.kubernetesingress.ingressendpoint.ip={address}"),
            &format!("--providers.file.filename={dynamic}"),
            "--log.level=ERROR",
        ],
    )
    .with_environment(&[("KUBECONFIG", &component_kubeconfig("admin"))]))
}

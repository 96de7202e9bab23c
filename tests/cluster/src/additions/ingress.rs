//! Traefik, the default `IngressClass`: a pod behind the node's address, so that the policies of an app decide whether it is let in.
//! (A process of the node would be let in always.)

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;

use super::{Addition, Site};
use crate::{
    certificates::{self, Identity},
    error::Result,
    images::PAUSE,
    layout::INGRESS_DOMAIN,
    node,
    programs::Program,
    wait,
};

/// The namespace of the controllers, closed to users.
pub(super) const NAMESPACE: &str = "ingress-controller";

const MANIFEST: &str = include_str!("ingress.yaml");

pub(super) fn install(site: &Site) -> Result<()> {
    let certificate = wildcard(site, "ingress", INGRESS_DOMAIN)?;
    let address = site.layout.address().to_string();
    let mut arguments = vec![
        "--entrypoints.web.address=:80".to_owned(),
        "--entrypoints.websecure.address=:443".to_owned(),
        "--entrypoints.websecure.http.tls=true".to_owned(),
        "--ping=true".to_owned(),
        "--ping.entrypoint=ping".to_owned(),
        "--entrypoints.ping.address=:8080".to_owned(),
        "--providers.kubernetesingress=true".to_owned(),
        format!("--providers.kubernetesingress.ingressendpoint.ip={address}"),
        "--providers.file.directory=/configuration".to_owned(),
        "--log.level=ERROR".to_owned(),
    ];
    if site.with.contains(&Addition::Gateway) {
        arguments.push("--providers.kubernetesgateway=true".to_owned());
        arguments.push(format!(
            "--providers.kubernetesgateway.statusaddress.ip={address}"
        ));
    }
    site.apply(
        MANIFEST,
        &[
            ("ADDRESS", &address),
            ("ARGUMENTS", &json!(arguments).to_string()),
            ("IMAGE", PAUSE),
            ("PROGRAM", &site.program_directory(Program::Traefik)?),
            ("CERTIFICATE", &encode(&certificate.certificate)),
            ("KEY", &encode(&certificate.key)),
        ],
    )
}

pub(super) fn prove(site: &Site) -> Result<()> {
    until_answers("the ingress controller", site.layout.address().into())
}

/// Waits until something speaks HTTP behind an address.
pub(super) fn until_answers(who: &str, address: IpAddr) -> Result<()> {
    let address = SocketAddr::from((address, 80));
    wait::until(&format!("{who} answers"), Duration::from_secs(30), || {
        Ok(node::status_of(address, "/"))
    })
    .map(drop)
}

/// A certificate for every name below a domain, kept for those who trust it as `pki/NAME.crt`.
pub(super) fn wildcard(site: &Site, name: &str, domain: &str) -> Result<Identity> {
    site.identity(name, || {
        certificates::self_signed(&[&format!("*.{domain}")])
    })
}

/// As the data of a Secret.
pub(super) fn encode(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

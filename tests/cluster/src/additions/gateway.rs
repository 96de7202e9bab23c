//! The Gateway API (standard channel) through Traefik, with one `Gateway` that every namespace may attach routes to.

use serde_json::Value;

use super::{PATIENCE, Site, ingress};
use crate::{
    api::Api, error::Result, layout::GATEWAY_DOMAIN, programs::Program, progress::Progress, wait,
};

const MANIFEST: &str = include_str!("gateway.yaml");

pub(super) fn define(api: &Api, progress: &Progress) -> Result<()> {
    super::define(api, Program::Traefik, progress)
}

pub(super) fn install(site: &Site) -> Result<()> {
    let certificate = ingress::wildcard(site, "gateway", GATEWAY_DOMAIN)?;
    site.apply(
        MANIFEST,
        &[
            ("DOMAIN", GATEWAY_DOMAIN),
            ("CERTIFICATE", &ingress::encode(&certificate.certificate)),
            ("KEY", &ingress::encode(&certificate.key)),
        ],
    )
}

pub(super) fn prove(site: &Site) -> Result<()> {
    let path = format!(
        "/apis/gateway.networking.k8s.io/v1/namespaces/{}/gateways/shared",
        ingress::NAMESPACE
    );
    wait::until("the Gateway takes routes", PATIENCE, || {
        Ok(site
            .api
            .get(&path)?
            .filter(|gateway| is_true(&gateway["status"]["conditions"], "Programmed")))
    })
    .map(drop)
}

/// Whether a condition is there and true.
pub(super) fn is_true(conditions: &Value, kind: &str) -> bool {
    conditions
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == kind && condition["status"] == "True")
}

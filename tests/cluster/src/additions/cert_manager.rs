//! cert-manager with three `ClusterIssuers`: one that signs, one without its key, one whose server does not answer. Its controller alone:
//! the webhook's checks and the injection of certificates are not what tests ask for.

use super::{PATIENCE, Site, gateway::is_true, ingress::encode};
use crate::{
    api::Api, certificates, error::Result, images::PAUSE, layout::POD_GATEWAY, programs::Program,
    progress::Progress, wait,
};

const MANIFEST: &str = include_str!("cert-manager.yaml");

pub(super) fn define(api: &Api, progress: &Progress) -> Result<()> {
    super::define(api, Program::CertManager, progress)
}

pub(super) fn install(site: &Site) -> Result<()> {
    let root = site.identity("issuer-ca", || certificates::root("kube-commons-issuer"))?;
    site.apply(
        MANIFEST,
        &[
            ("IMAGE", PAUSE),
            ("PROGRAM", &site.program_directory(Program::CertManager)?),
            ("CERTIFICATE", &encode(&root.certificate)),
            ("KEY", &encode(&root.key)),
            ("NOBODY", &format!("{POD_GATEWAY}:9")),
        ],
    )
}

pub(super) fn prove(site: &Site) -> Result<()> {
    wait::until("the issuer `ca` can sign", PATIENCE, || {
        Ok(site
            .api
            .get("/apis/cert-manager.io/v1/clusterissuers/ca")?
            .filter(|issuer| is_true(&issuer["status"]["conditions"], "Ready")))
    })
    .map(drop)
}

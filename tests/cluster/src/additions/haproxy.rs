//! A second ingress controller, at an address and with a domain of its own: what holds for one controller need not hold for another.

use super::{
    Site,
    ingress::{encode, until_answers, wildcard},
};
use crate::{error::Result, images::DEBIAN_SYSTEM, layout::SECOND_DOMAIN, programs::Program};

const MANIFEST: &str = include_str!("haproxy.yaml");

pub(super) fn install(site: &Site) -> Result<()> {
    let certificate = wildcard(site, "haproxy", SECOND_DOMAIN)?;
    site.apply(
        MANIFEST,
        &[
            ("ADDRESS", &site.layout.second_address().to_string()),
            ("IMAGE", DEBIAN_SYSTEM),
            ("PROGRAM", &site.program_directory(Program::HaproxyIngress)?),
            ("CERTIFICATE", &encode(&certificate.certificate)),
            ("KEY", &encode(&certificate.key)),
        ],
    )
}

pub(super) fn prove(site: &Site) -> Result<()> {
    until_answers(
        "the second ingress controller",
        site.layout.second_address().into(),
    )
}

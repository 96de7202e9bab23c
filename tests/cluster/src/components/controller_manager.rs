//! The controller manager, with every controller as it comes: Jobs and their time to live behave as on any cluster.

use super::{CommandLine, Setup, component_kubeconfig};
use crate::{error::Result, layout::inside, programs::Program, storage};

pub(super) fn prepare(setup: &Setup) -> Result<CommandLine> {
    let recycler = setup.configuration("recycler.yaml", &storage::recycler().to_string())?;
    Ok(CommandLine::new(
        setup.program(Program::Kubenode)?,
        &[
            "controller-manager",
            "--kubeconfig",
            &component_kubeconfig("controller-manager"),
            "--use-service-account-credentials",
            "--service-account-private-key-file",
            &inside("pki/tokens.key"),
            "--root-ca-file",
            &inside("pki/ca.crt"),
            "--cluster-signing-cert-file",
            &inside("pki/ca.crt"),
            "--cluster-signing-key-file",
            &inside("pki/ca.key"),
            "--leader-elect=false",
            // At the stock rate the service accounts of forty controllers take four seconds to make; nothing else comes near it.
            "--kube-api-qps=200",
            "--kube-api-burst=300",
            "--allocate-node-cidrs=false",
            "--pv-recycler-pod-template-filepath-hostpath",
            &recycler,
            "--flex-volume-plugin-dir",
            &inside("flexvolume"),
            "--bind-address",
            "127.0.0.1",
        ],
    ))
}

//! The `CloudNativePG` operator as its release installs it, from an image of our own.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Site, manifest};
use crate::{
    error::Result,
    images::{self, CNPG_MANAGER},
    node,
    programs::Program,
    wait,
};

pub(super) fn install(site: &Site) -> Result<()> {
    node::load_image(site.layout, &images::operator_archive(site.progress)?)?;
    for mut object in Program::CnpgManager.objects(site.progress)? {
        use_own_image(&mut object);
        site.api.apply(&manifest::path_of(&object)?, &object)?;
    }
    Ok(())
}

/// The operator's webhooks must answer, or the first Cluster is refused.
pub(super) fn prove(site: &Site) -> Result<()> {
    let probe = json!({
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "probe", "namespace": "default"},
        "spec": {"instances": 1, "storage": {"size": "1Gi"}},
    });
    wait::until_ok(
        "the CloudNativePG webhooks answer",
        Duration::from_secs(30),
        || {
            site.api.create(
                "/apis/postgresql.cnpg.io/v1/namespaces/default/clusters?dryRun=All",
                &probe,
            )
        },
    )
    .map(drop)
}

/// Both places where the release names its own image.
fn use_own_image(object: &mut Value) {
    if object["kind"] != "Deployment" {
        return;
    }
    for container in object["spec"]["template"]["spec"]["containers"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        container["image"] = json!(CNPG_MANAGER);
        container["imagePullPolicy"] = json!("IfNotPresent");
        for variable in container["env"].as_array_mut().into_iter().flatten() {
            if variable["name"] == "OPERATOR_IMAGE_NAME" {
                variable["value"] = json!(CNPG_MANAGER);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_runs_from_the_own_image_in_both_places() {
        let mut deployment = json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [
            {"image": "x", "env": [{"name": "OPERATOR_IMAGE_NAME", "value": "x"}, {"name": "A", "value": "x"}]},
        ]}}}});
        use_own_image(&mut deployment);
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], CNPG_MANAGER);
        assert_eq!(container["env"][0]["value"], CNPG_MANAGER);
        assert_eq!(container["env"][1]["value"], "x");
    }
}

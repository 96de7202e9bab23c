//! Reading the Secrets and ConfigMaps that tell a login, those that matter and all at once.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::variables::{Contents, Holder, Known};
use commons::cluster::Cluster;
use commons::error::{Error, Kind, Result};

/// Reads these as well, together.
///
/// # Errors
/// When the API server does not answer. What may not be read, or does not exist, is known to be so then.
pub(super) async fn read(
    cluster: &Cluster,
    namespace: &str,
    holders: BTreeSet<Holder>,
    known: &mut Known,
) -> Result<()> {
    let reads = holders.into_iter().map(async |holder| {
        let contents = contents(cluster, namespace, &holder).await?;
        Ok::<_, Error>((holder, contents))
    });
    known.extend(futures::future::try_join_all(reads).await?);
    Ok(())
}

async fn contents(cluster: &Cluster, namespace: &str, holder: &Holder) -> Result<Contents> {
    let data = match holder {
        Holder::Secret(name) => cluster
            .find::<Secret>(namespace, name)
            .await
            .map(|secret| secret.map(of_secret)),
        Holder::ConfigMap(name) => cluster
            .find::<ConfigMap>(namespace, name)
            .await
            .map(|map| map.map(of_config_map)),
    };
    match data {
        Ok(data) => Ok(data.unwrap_or(Contents::Missing)),
        Err(error) if error.kind() == Kind::Forbidden => Ok(Contents::Unreadable),
        Err(error) => Err(error),
    }
}

fn of_secret(secret: Secret) -> Contents {
    let data = secret.data.unwrap_or_default();
    Contents::Data(
        data.into_iter()
            .map(|(key, value)| (key, value.0))
            .collect(),
    )
}

fn of_config_map(map: ConfigMap) -> Contents {
    let text = map.data.unwrap_or_default();
    let bytes = map.binary_data.unwrap_or_default();
    Contents::Data(
        text.into_iter()
            .map(|(key, value)| (key, value.into_bytes()))
            .chain(bytes.into_iter().map(|(key, value)| (key, value.0)))
            .collect(),
    )
}

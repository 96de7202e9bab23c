//! Volumes for databases: a few directories of the node that claims bind to, emptied and offered again when a claim is gone. No provisioner
//! runs for that: the controller manager still knows how to recycle a directory with a pod.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use serde_json::{Value, json};

use crate::{
    api::Api,
    error::{Context as _, Result},
    layout::{Layout, inside},
};

/// How many volumes there are; each serves one claim at a time.
const VOLUMES: usize = 10;
/// The default storage class.
const CLASS: &str = "node";

/// Makes the directories.
pub(crate) fn make_directories(layout: &Layout) -> Result<()> {
    for index in 0..VOLUMES {
        let path = layout.path(directory(index));
        let failed = || format!("{} cannot be made", path.display());
        fs::create_dir_all(&path).with_context(failed)?;
        // Whatever user a database runs as.
        fs::set_permissions(&path, Permissions::from_mode(0o777)).with_context(failed)?;
    }
    Ok(())
}

/// Offers the directories as volumes.
pub(crate) fn offer(api: &Api) -> Result<()> {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    });
    let volumes = (0..VOLUMES).map(|index| ("/api/v1/persistentvolumes".to_owned(), volume(index)));
    let all: Vec<_> = std::iter::once(("/apis/storage.k8s.io/v1/storageclasses".to_owned(), class))
        .chain(volumes)
        .collect();
    api.create_all(&all)
}

fn directory(index: usize) -> String {
    format!("volumes/{index}")
}

fn volume(index: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": format!("node-{index}")},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Recycle",
            "storageClassName": CLASS,
            "hostPath": {"path": inside(&directory(index))},
        },
    })
}

/// The pod that empties a directory; the controller manager puts the volume in.
pub(crate) fn recycler() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "recycler-", "namespace": "kube-system"},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "volumes": [{"name": "vol", "hostPath": {"path": "/replaced"}}],
            "containers": [{
                "name": "recycler",
                "image": "docker.io/library/busybox:1",
                "command": ["/bin/sh", "-c", "rm -rf /scrub/..?* /scrub/.[!.]* /scrub/* && test -z \"$(ls -A /scrub)\""],
                "volumeMounts": [{"name": "vol", "mountPath": "/scrub"}],
            }],
        },
    })
}

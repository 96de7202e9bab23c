//! What still serves while an update does not come up.

use commons::{Cluster, printable};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::ResourceExt;

use crate::settings::{Settings, own_container};

/// Where a Deployment and its `ReplicaSets` say which version they are.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// An earlier version whose pods are ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    revision: u64,
    image: String,
}

impl Serving {
    /// The newest earlier version of a Deployment that has ready pods; nothing where none has, or it may not be looked at.
    pub async fn find(cluster: &Cluster, name: &str, selector: &str) -> Option<Self> {
        let sets: Vec<ReplicaSet> = cluster.list(cluster.namespace(), selector).await.ok()?;
        Self::among(name, &sets)
    }

    fn among(name: &str, sets: &[ReplicaSet]) -> Option<Self> {
        let revision = |set: &ReplicaSet| set.annotations().get(REVISION)?.parse::<u64>().ok();
        let own = || {
            sets.iter().filter(|set| {
                let mut owners = set.owner_references().iter();
                owners.any(|owner| owner.kind == "Deployment" && owner.name == name)
            })
        };
        let present = own().filter_map(revision).max()?;
        let serves = |set: &&ReplicaSet| {
            let ready = set.status.as_ref().and_then(|status| status.ready_replicas);
            ready.unwrap_or(0) > 0 && revision(set) != Some(present)
        };
        let set = own().filter(serves).max_by_key(|set| revision(set))?;
        let pod = set.spec.as_ref()?.template.as_ref()?.spec.as_ref()?;
        Some(Self {
            revision: revision(set)?,
            image: own_container(name, pod)?.image.clone()?,
        })
    }

    /// That it still serves, and how to go back to it where one command can: what variables and files were before is not known.
    pub fn hint(&self, name: &str, before: &Settings, settings: &Settings, here: &str) -> String {
        let image = printable::word(&self.image);
        let same_inputs = before.env == settings.env
            && before.files == settings.files
            && before.secrets == settings.secrets;
        let other_image = Settings {
            image: before.image.clone(),
            ..settings.clone()
        };
        if self.image != settings.image && other_image == *before {
            format!(
                "meanwhile {image} still serves; to go back to it: `kubectl deploy-app {name} --image {image}{here}`"
            )
        } else if same_inputs {
            format!(
                "meanwhile what ran before still serves; to go back to it: `kubectl rollout undo deployment/{name} --to-revision={}{here}`",
                self.revision
            )
        } else {
            "meanwhile what ran before still serves".into()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(revision: u32, ready: u32, image: &str) -> Value {
        json!({
            "metadata": {"name": format!("web-{revision}"), "annotations": {REVISION: revision.to_string()},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u"}]},
            "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "web", "image": image}]}}},
            "status": {"replicas": ready, "readyReplicas": ready},
        })
    }

    fn among(sets: &Value) -> Option<Serving> {
        let sets: Vec<ReplicaSet> = serde_json::from_value(sets.clone()).expect("ReplicaSets");
        Serving::among("web", &sets)
    }

    #[test]
    fn the_last_version_that_serves_and_not_the_one_before() {
        let never_ran = json!([
            set(1, 1, "web:1"),
            set(2, 0, "web:nope"),
            set(3, 0, "web:3")
        ]);
        let serving = among(&never_ran).expect("the first");
        assert_eq!((serving.revision, serving.image.as_str()), (1, "web:1"));
        assert_eq!(
            among(&json!([set(1, 1, "web:1")])),
            None,
            "it is the present one"
        );
        assert_eq!(
            among(&json!([set(1, 0, "web:1"), set(2, 0, "web:2")])),
            None
        );
        let mut others = set(1, 1, "web:1");
        others["metadata"]["ownerReferences"][0]["name"] = "web-2".into();
        assert_eq!(among(&json!([others, set(2, 0, "web:2")])), None);
    }

    #[test]
    fn the_way_back_is_one_that_there_is() {
        let serving = Serving {
            revision: 4,
            image: "web:1".into(),
        };
        let settings = crate::settings::tests::example();
        let mut newer = settings.clone();
        newer.image = "web:2".into();
        assert_eq!(
            serving.hint("web", &settings, &newer, " -n a"),
            "meanwhile web:1 still serves; to go back to it: `kubectl deploy-app web --image web:1 -n a`"
        );
        newer.port = Some(9000);
        assert_eq!(
            serving.hint("web", &settings, &newer, ""),
            "meanwhile what ran before still serves; to go back to it: `kubectl rollout undo deployment/web --to-revision=4`",
            "the image alone would not go back"
        );
        let mut same = settings.clone();
        same.image = "web:1".into();
        let before = same.clone();
        same.replicas = 2;
        assert_eq!(
            serving.hint("web", &before, &same, ""),
            "meanwhile what ran before still serves; to go back to it: `kubectl rollout undo deployment/web --to-revision=4`"
        );
        same.env.insert("A".into(), "other".into());
        assert_eq!(
            serving.hint("web", &before, &same, ""),
            "meanwhile what ran before still serves"
        );
    }
}

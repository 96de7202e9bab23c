//! Objects as they are printed, whatever they were deployed from.

use commons::apply::{self, PlannedObject, line};
use commons::cluster::documents;
use commons::{Result, Ui};
use serde_json::Value;

use crate::flags::Mode;
use crate::objects::PLACEHOLDER;
use crate::write::Written;

/// What was written, or would be, by the server's own words, and the objects of its address.
pub fn written(
    ui: &Ui,
    mode: &Mode,
    written: &[Written],
    address: Option<Vec<PlannedObject>>,
) -> Result<()> {
    let objects = written.iter().map(|written| PlannedObject {
        line: line(
            &documents::reference(&written.object),
            written.outcome,
            mode.dry_run,
        ),
        document: shown(&written.object),
    });
    let objects: Vec<PlannedObject> = objects.chain(address.into_iter().flatten()).collect();
    apply::print_objects(ui, mode.output.output, &objects)
}

/// An object of the server as it may be printed: without its managers, and a Secret without its values.
pub fn shown(object: &Value) -> Value {
    let mut object = object.clone();
    let is_secret = object["kind"] == "Secret";
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        let annotations = metadata.get_mut("annotations");
        if let Some(annotations) = annotations.and_then(Value::as_object_mut)
            && is_secret
        {
            annotations.remove(LAST_APPLIED);
        }
    }
    if is_secret {
        for field in ["data", "stringData"] {
            let values = object.get_mut(field).and_then(Value::as_object_mut);
            for value in values.into_iter().flat_map(|values| values.values_mut()) {
                *value = PLACEHOLDER.into();
            }
        }
    }
    object
}

/// Where `kubectl apply` keeps all that was applied, a Secret's values too.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

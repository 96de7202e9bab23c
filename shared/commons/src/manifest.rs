//! Manifests as people keep them: YAML with several documents, in the order that people write.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::printable;

/// Reads the objects of a file: YAML or JSON, one document or several, with the items of a `List` one by one.
///
/// # Errors
/// What is wrong with it and where, for a file that the caller names.
pub fn read(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        let said = error.to_string();
        let first = said.lines().next().unwrap_or_default();
        let first = first.strip_prefix("error: ").unwrap_or(first);
        not_yaml(text, first)
    })?;
    let mut objects = Vec::new();
    for (position, document) in documents.into_iter().enumerate() {
        flatten(document, position + 1, &mut objects)?;
    }
    Ok(objects)
}

/// What is wrong with a text that is not YAML, from the parser's words.
fn not_yaml(text: &str, why: &str) -> Error {
    let error = Error::new("it is not YAML");
    if text.contains("{{") {
        return error
            .caused_by("it is a template: there is `{{` in it")
            .hint("render it first, such as `helm template` does");
    }
    let Some((place, key)) = why.split_once("duplicate mapping key: ") else {
        return error.caused_by(printable::short(why, 300));
    };
    let key = key.split(", set ").next().unwrap_or_default();
    let error = error.caused_by(format!(
        "{}`{}` is defined twice",
        printable::short(place, 60),
        printable::short(key, 100)
    ));
    if matches!(key, "apiVersion" | "kind" | "metadata" | "spec") {
        error.hint("between two objects there must be a line `---`")
    } else {
        error.hint("keep one of them")
    }
}

fn flatten(document: Value, position: usize, objects: &mut Vec<Value>) -> Result<()> {
    let field = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (field("apiVersion"), field("kind"));
    match document {
        Value::Null => Ok(()),
        Value::Object(mut list) if kind.ends_with("List") && list.contains_key("items") => {
            let Some(Value::Array(items)) = list.remove("items") else {
                return Ok(());
            };
            items
                .into_iter()
                .try_for_each(|item| flatten(item, position, objects))
        }
        Value::Object(_) => {
            let missing = [("apiVersion", &api_version), ("kind", &kind)]
                .into_iter()
                .find(|(_, value)| value.is_empty());
            if let Some((field, _)) = missing {
                return Err(Error::new(format!(
                    "document {position} has no `{field}`: it is no Kubernetes object"
                )));
            }
            let name = document["metadata"]["name"].as_str().unwrap_or_default();
            if name.is_empty() {
                return Err(Error::new(format!(
                    "document {position}, a {}, has no `metadata.name`",
                    printable::short(&kind, 60)
                )));
            }
            objects.push(document);
            Ok(())
        }
        _ => Err(Error::new(format!(
            "document {position} is no Kubernetes object"
        ))),
    }
}

/// Writes objects as one file, fields in the order in which people write them.
///
/// # Errors
/// When they cannot be written as YAML.
pub fn write(objects: &[Value]) -> Result<String> {
    let documents = objects
        .iter()
        .map(|object| {
            serde_saphyr::to_string(&Ordered(object))
                .map_err(|error| Error::new("cannot write YAML").caused_by(error.to_string()))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(documents.join("---\n"))
}

/// A value whose fields are written in people's order: what it is first, its names next.
struct Ordered<'a>(&'a Value);

/// Fields that come before the others, in this order.
const FIRST: [&str; 6] = [
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "image",
];

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let rank = |field: &str| {
                    FIRST
                        .iter()
                        .position(|first| *first == field)
                        .unwrap_or(FIRST.len())
                };
                let mut sorted: Vec<_> = fields.iter().collect();
                sorted.sort_by_key(|(field, _)| rank(field));
                let mut map = serializer.serialize_map(Some(sorted.len()))?;
                for (field, value) in sorted {
                    map.serialize_entry(field, &Ordered(value))?;
                }
                map.end()
            }
            Value::Array(items) => {
                let mut sequence = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    sequence.serialize_element(&Ordered(item))?;
                }
                sequence.end()
            }
            scalar => scalar.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lists_and_empty_ones() {
        let text = "---\n# nothing\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: b}\n---\n";
        let names: Vec<String> = read(text)
            .expect("objects")
            .iter()
            .map(|object| object["metadata"]["name"].as_str().unwrap_or("").to_owned())
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(read("").expect("nothing").len(), 0);
        assert_eq!(read("---\n---\n").expect("nothing").len(), 0);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let said = |text: &str| read(text).err().map(|error| error.message().to_owned());
        assert_eq!(
            said("kind: A\n---\nx: 1"),
            Some("document 1 has no `apiVersion`: it is no Kubernetes object".into())
        );
        assert_eq!(
            said("apiVersion: v1\nkind: Pod"),
            Some("document 1, a Pod, has no `metadata.name`".into())
        );
        let broken = read("a: [1\nb: 2").expect_err("no YAML");
        assert!(broken.causes()[0].contains("line"), "{broken:?}");
    }

    #[test]
    fn fields_in_peoples_order_and_texts_that_stay_texts() {
        let object = serde_json::json!({"data": {"A": "yes", "B": "012", "C": "x\ny\n", "D": "1e3", "E": "12:30:00", "F": ""}, "kind": "ConfigMap", "metadata": {"labels": {"x": "y"}, "name": "web"}, "apiVersion": "v1"});
        let text = write(std::slice::from_ref(&object)).expect("text");
        assert!(
            text.starts_with("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\n  labels:\n    x: \"y\"\ndata:\n  A: \"yes\"\n  B: \"012\"\n  C: |\n    x\n    y\n  D: \"1e3\"\n"),
            "{text}"
        );
        assert_eq!(read(&text).expect("objects"), [object]);
    }
}

//! `--image` beside `-f`: the images in the files are those of this command.

use commons::cluster::documents;
use commons::error::name_hint;
use commons::shell::shell;
use commons::{Error, Result, printable};
use serde_json::Value;

use crate::lint::{template_path, untagged};

/// An image in a file.
struct ImagePlace<'a> {
    /// `deployment/web`.
    object: String,
    container: String,
    image: &'a mut Value,
}

impl ImagePlace<'_> {
    fn image(&self) -> &str {
        self.image.as_str().unwrap_or_default()
    }
}

/// Puts the images of `--image` in the place of those in the files; a line for each change.
pub fn set_images(objects: &mut [Value], images: &[String]) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for wanted in images {
        // A container's name has no `/`, `:` or `.` in it, so what stands before `=` is one.
        let (only, image) = match wanted.split_once('=') {
            Some((container, image)) => (Some(container), image),
            None => (None, wanted.as_str()),
        };
        if image.is_empty() {
            return Err(Error::usage("`--image` is empty")
                .caused_by("a variable of the pipeline may not be set"));
        }
        let mut places: Vec<ImagePlace> = objects.iter_mut().flat_map(places).collect();
        let is_meant: Vec<bool> = places
            .iter()
            .map(|place| match only {
                Some(container) => place.container == container,
                None => places.len() == 1 || untagged(place.image()).0 == untagged(image).0,
            })
            .collect();
        if !is_meant.contains(&true) {
            return Err(no_place(&places, only, image));
        }
        for (place, _) in places.iter_mut().zip(is_meant).filter(|(_, meant)| *meant) {
            if place.image() != image {
                lines.push(format!(
                    "{}: image: {} -> {}",
                    place.object,
                    printable::short(place.image(), 120),
                    printable::short(image, 120)
                ));
                *place.image = image.into();
            }
        }
    }
    Ok(lines)
}

/// An image that none of the files' containers is known to run.
fn no_place(places: &[ImagePlace], only: Option<&str>, image: &str) -> Error {
    if let Some(container) = only {
        let names = places.iter().map(|place| place.container.as_str());
        let called = printable::short(container, 80);
        return Error::usage(format!("no container is called `{called}`"))
            .hints_from(name_hint(container, names));
    }
    let Some(first) = places.first() else {
        return Error::usage("`--image` has no place: nothing in these files runs an image");
    };
    let choices: Vec<String> = places
        .iter()
        .map(|place| {
            let image = printable::short(place.image(), 80);
            format!("{} ({image}, in {})", place.container, place.object)
        })
        .collect();
    Error::usage(format!(
        "which container is `{}` for?",
        printable::short(image, 120)
    ))
    .caused_by(format!("there are: {}", choices.join(", ")))
    .hint(format!(
        "name it: `{}`",
        shell("--image").arg(format!("{}={image}", first.container))
    ))
}

/// The images of an object's containers. A file may hold anything in any field: what is not as it should be has none, and the
/// cluster says why.
fn places(object: &mut Value) -> Vec<ImagePlace<'_>> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let Some(path) = template_path(kind) else {
        return Vec::new();
    };
    let pod = format!("/{}spec", path.replace('.', "/"));
    let called = format!("{}/{}", kind.to_lowercase(), documents::name(object));
    let Some(pod) = object.pointer_mut(&pod).and_then(Value::as_object_mut) else {
        return Vec::new();
    };
    pod.iter_mut()
        .filter(|(field, _)| matches!(field.as_str(), "containers" | "initContainers"))
        .filter_map(|(_, containers)| containers.as_array_mut())
        .flatten()
        .filter_map(|container| {
            Some(ImagePlace {
                object: called.clone(),
                container: container["name"].as_str().unwrap_or_default().to_owned(),
                image: container
                    .as_object_mut()?
                    .entry("image")
                    .or_insert(Value::Null),
            })
        })
        .collect()
}

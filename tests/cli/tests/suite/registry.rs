//! A registry of images.

use cli_tests::{Internet, Request, Response};
use serde_json::{Value, json};

/// An image as a registry has it.
#[derive(Clone, Debug)]
pub struct RegistryImage {
    /// `shop/web:1`
    pub name: &'static str,
    /// What it was built for.
    pub architecture: &'static str,
    /// `8000/tcp`, if it says so.
    pub port: Option<&'static str>,
    /// As whom it runs: a number, a name, or nobody in particular, which is root.
    pub user: &'static str,
}

/// The distribution protocol, as far as images are looked up.
fn answer_of_registry(images: &[RegistryImage], request: &Request) -> Response {
    let json = |value: &Value| Response::json(200, value);
    let missing = |code: &str| {
        Response::json(
            404,
            &json!({"errors": [{"code": code, "message": "unknown"}]}),
        )
    };
    let Some((repository, what)) = request.path.strip_prefix("/v2/").and_then(|path| {
        ["/manifests/", "/blobs/", "/tags/"]
            .iter()
            .find_map(|part| path.split_once(part))
    }) else {
        return json(&json!({}));
    };
    let all: Vec<&RegistryImage> = images
        .iter()
        .filter(|image| {
            image
                .name
                .split_once(':')
                .is_some_and(|(name, _)| name == repository)
        })
        .collect();
    let tag = |image: &RegistryImage| image.name.split_once(':').map_or("", |(_, tag)| tag);
    // Some digest, the same for the same name.
    let digest = |image: &RegistryImage| {
        let hash = image.name.bytes().fold(7_u128, |hash, byte| {
            hash.wrapping_mul(1_099_511_628_211)
                .wrapping_add(byte.into())
        });
        format!("sha256:{hash:064x}")
    };
    if all.is_empty() {
        return missing("NAME_UNKNOWN");
    }
    if request.path.ends_with("/tags/list") {
        let tags: Vec<&str> = all.iter().map(|image| tag(image)).collect();
        return json(&json!({"name": repository, "tags": tags}));
    }
    if let Some(image) = all.iter().find(|image| digest(image) == what) {
        let mut config = json!({"User": image.user, "Entrypoint": ["/app"]});
        if let Some(port) = image.port {
            config["ExposedPorts"] = json!({port: {}});
        }
        return json(
            &json!({"architecture": image.architecture, "os": "linux", "config": config, "rootfs": {"type": "layers", "diff_ids": []}}),
        );
    }
    let Some(image) = all.iter().find(|image| tag(image) == what) else {
        return missing("MANIFEST_UNKNOWN");
    };
    let media = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media, "layers": [],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(image), "size": 100},
    });
    Response::text(200, media, manifest.to_string())
}

/// Lets there be a registry of images, from which anybody may read; each with its tag (`shop/web:1`).
pub fn serve(internet: &Internet, host: &str, images: Vec<RegistryImage>) {
    internet.site(host, move |request| answer_of_registry(&images, request));
}

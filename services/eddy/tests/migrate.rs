//! `eddy migrate`: what it shows, what it writes, and that a file says the same afterwards.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use eddy::file;
use eddy::settings::Source;
use eddy::settings::migration::migrate;

const OLD: &str = "# Ours.\nformat = 1   # the first\nname = \"p\"\n\n[kafka]\nbrokers = \"a:1\"\nstart = \"latest\"\n\n\
                   [[models]]\nname = \"m\"\npath = \"m.onnx\"\nmax_bytes = \"1 MiB\"\nhead = { type = \"regression\" }\n\n\
                   # Floods.\n[dead_letters]\nwindow = 500  # events\n";

fn eddy(words: &[&str], file: &Path) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .arg("migrate")
        .args(words)
        .arg(file)
        .output();
    output.expect("the program runs")
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    match code {
        0 => out,
        _ => err,
    }
}

fn folder_with(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("pipeline.toml");
    std::fs::write(&file, text).expect("there is room");
    (folder, file)
}

#[test]
fn it_shows_the_difference_and_writes_nothing_unless_it_is_told_to() {
    let (_folder, file) = folder_with(OLD);
    let name = file.display();
    let shown = said(&eddy(&[], &file), 0);
    let expected = format!(
        "--- {name}\n+++ {name} of format 2\n@@ -1,4 +1,4 @@\n # Ours.\n-format = 1   # the first\n+format = 2   # the first\n \
         name = \"p\"\n \n@@ -10,8 +10,8 @@\n name = \"m\"\n path = \"m.onnx\"\n-max_bytes = \"1 MiB\"\n+max_file_bytes = \"1 MiB\"\n \
         head = {{ type = \"regression\" }}\n \n # Floods.\n [dead_letters]\n-window = 500  # events\n+window_events = 500  # events\n\n\
         {name}:2:10: the file is of format 1, and 2 is the newest of pipeline files\n"
    );
    assert!(shown.starts_with(&expected), "{shown}\n{expected}");
    assert!(
        shown.contains(":12:1: `models[0].max_bytes` is called `models[0].max_file_bytes` since format 2"),
        "{shown}"
    );
    assert!(
        shown.ends_with(&format!("`eddy migrate {name} --write` does it\n")),
        "{shown}"
    );

    let checked = said(&eddy(&["--check"], &file), 78);
    assert!(checked.contains(":17:1: `dead_letters.window` is called"), "{checked}");
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), OLD);

    let written = said(&eddy(&["--write"], &file), 0);
    assert!(
        written.ends_with("was of format 1 and is of format 2 now\n"),
        "{written}"
    );
    let new = std::fs::read_to_string(&file).expect("it is there");
    let renamed = OLD
        .replace("format = 1", "format = 2")
        .replace("max_bytes", "max_file_bytes")
        .replace("window", "window_events");
    assert_eq!(new, renamed);

    for words in [&["--check"][..], &["--write"], &[]] {
        let again = said(&eddy(words, &file), 0);
        assert!(
            again.contains("is of format 2, the newest: nothing is to be done"),
            "{again}"
        );
    }
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), new);
}

#[cfg(unix)]
#[test]
fn a_file_keeps_its_permissions_and_a_link_stays_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, file) = folder_with(OLD);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("it is ours");
    let link = folder.path().join("link.toml");
    std::os::unix::fs::symlink("pipeline.toml", &link).expect("links can be made");
    said(&eddy(&["--write"], &link), 0);
    assert!(link.symlink_metadata().expect("it is there").is_symlink());
    let mode = file.metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert!(
        std::fs::read_to_string(&file)
            .expect("it is there")
            .contains("window_events")
    );
    let left = std::fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!(left, 2, "nothing half-written is left");
}

#[test]
fn policies_profiles_and_golden_files_are_told_apart_and_are_of_the_newest_format() {
    let (folder, file) = folder_with("");
    for policy in [
        "",
        "# Nothing yet.\n",
        "[select]\nfraction = 0.1\n\n[models.m]\nthreshold = 0.5\n",
    ] {
        std::fs::write(&file, policy).expect("there is room");
        assert!(
            said(&eddy(&["--check"], &file), 0).contains("is of format 1, the newest"),
            "{policy}"
        );
    }
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/digits");
    for name in ["profile.json", "golden.json"] {
        let shown = said(&eddy(&[], &examples.join(name)), 0);
        assert!(shown.contains("is of format 1, the newest"), "{name}: {shown}");
    }
    let refused = |text: &str, why: &str| {
        std::fs::write(&file, text).expect("there is room");
        let said = said(&eddy(&["--write"], &file), 78);
        assert!(said.contains(why), "{said}");
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), text);
    };
    refused("{}", "is JSON, but no file of Eddy's");
    refused(
        r#"{"format":9,"features":[],"outputs":{}}"#,
        "is of format 9, and this version of Eddy reads format 1 of reference",
    );
    refused(
        "format = 3\nname = \"p\"\n",
        "1:10: the file is of format 3, and this version of Eddy reads formats 1 and 2 of pipeline files",
    );
    refused("name = ", "this is not TOML");
    refused(
        "format = 1\n[dead_letters]\nwindow = 1\nwindow_events = 2\n",
        "3:1: `dead_letters.window` is the old name of",
    );
    let missing = said(&eddy(&[], &folder.path().join("none.toml")), 78);
    assert!(missing.contains("cannot be read"), "{missing}");
    assert!(said(&eddy(&[], folder.path()), 78).contains("is no file"));
    assert_eq!(eddy(&["--check", "--write"], &file).status.code(), Some(64));
}

#[test]
fn every_example_means_the_same_in_format_1_and_as_it_is_migrated_from_there() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let folders = std::fs::read_dir(config).expect("the examples are there");
    let files = folders.map(|folder| folder.expect("it can be read").path().join("pipeline.toml"));
    let mut count = 0;
    for path in files.filter(|path| path.exists()) {
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let name = path.display().to_string();
        assert_eq!(
            text.matches("\nformat = 2\n").count(),
            1,
            "{name}: examples are of the newest format"
        );
        let settings = |text: &str| {
            let source = Source { name: &name, text };
            file::read(source, [])
                .unwrap_or_else(|problems| panic!("{problems}"))
                .settings
        };
        let new = format!("{text}\n[dead_letters]\nwindow_events = 77 # of them\n");
        let old = new
            .replace("\nformat = 2\n", "\nformat = 1\n")
            .replace("window_events", "window");
        let unnumbered = old.replace("\nformat = 1\n", "\n");
        let read = settings(&old);
        assert_eq!(
            (&read, read.dead_letters.window_events),
            (&settings(&new), 77),
            "{name}"
        );
        for old in [&old, &unnumbered] {
            let source = Source { name: &name, text: old };
            let migrated = migrate(source, &file::HISTORY).unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!(settings(&migrated.text), read, "{name}");
            assert_eq!(migrated.text.matches('#').count(), old.matches('#').count(), "{name}");
        }
        let source = Source {
            name: &name,
            text: &old,
        };
        assert_eq!(migrate(source, &file::HISTORY).map(|migrated| migrated.text), Ok(new));
        count += 1;
    }
    assert!(count >= 8, "{count}");
}

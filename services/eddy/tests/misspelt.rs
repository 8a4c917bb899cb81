//! A key of an example pipeline that is misspelt is refused by name, with the right suggestion.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use eddy::file;
use eddy::settings::Source;
use toml_edit::{DocumentMut, Item, TableLike};

/// Tables whose keys users choose: a misspelt one there is another name, not a wrong one.
const FREE_TABLES: [&str; 2] = ["fields", "inputs"];

fn examples() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = folders
        .map(|folder| folder.join("pipeline.toml"))
        .filter(|file| file.exists())
        .collect();
    files.sort();
    assert!(files.len() >= 8, "the examples are gone: {files:?}");
    files
        .into_iter()
        .map(|file| (file.clone(), std::fs::read_to_string(file).unwrap()))
        .collect()
}

/// One character left out, two swapped, one doubled; at every position.
fn misspellings(key: &str) -> Vec<String> {
    let letters: Vec<char> = key.chars().collect();
    let mut all = Vec::new();
    for at in 0..letters.len() {
        let mut dropped = letters.clone();
        dropped.remove(at);
        let mut doubled = letters.clone();
        doubled.insert(at, letters[at]);
        let mut swapped = letters.clone();
        swapped.swap(at, (at + 1).min(letters.len() - 1));
        all.extend([dropped, doubled, swapped].map(String::from_iter));
    }
    all.retain(|word| word != key && !word.is_empty());
    all.sort();
    all.dedup();
    all
}

/// The steps to every key with a fixed name.
fn paths(table: &dyn TableLike, path: &[String], found: &mut Vec<Vec<String>>) {
    let free = path.last().is_some_and(|name| FREE_TABLES.contains(&name.as_str()));
    for (key, item) in table.iter() {
        let path = [path, &[key.to_owned()]].concat();
        if !free {
            found.push(path.clone());
        }
        if let Some(inner) = item.as_table_like() {
            paths(inner, &path, found);
        }
        for (index, inner) in item.as_array_of_tables().into_iter().flatten().enumerate() {
            paths(inner, &[path.as_slice(), &[index.to_string()]].concat(), found);
        }
    }
}

/// The text with the last step of `path` spelt otherwise.
fn respelt(text: &str, path: &[String], word: &str) -> String {
    let mut document: DocumentMut = text.parse().unwrap();
    let (last, steps) = path.split_last().unwrap();
    let mut item: &mut Item = document.as_item_mut();
    let mut steps = steps.iter().peekable();
    while let Some(step) = steps.next() {
        item = &mut item[step.as_str()];
        if let Some(index) = steps.next_if(|_| item.is_array_of_tables()) {
            let index: usize = index.parse().unwrap();
            let tables = item.as_array_of_tables_mut().unwrap();
            if steps.peek().is_none() {
                rename(tables.get_mut(index).unwrap(), last, word);
                return document.to_string();
            }
            let table = tables.get_mut(index).unwrap();
            let next = steps.next().unwrap();
            item = &mut table[next.as_str()];
        }
    }
    rename(item.as_table_like_mut().unwrap(), last, word);
    document.to_string()
}

fn rename(table: &mut dyn TableLike, key: &str, word: &str) {
    let value = table.remove(key).unwrap();
    table.insert(word, value);
}

fn problems(name: &str, text: &str) -> Vec<String> {
    match file::read(Source { name, text }, []) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn every_example_is_sound() {
    for (file, text) in examples() {
        assert_eq!(problems("pipeline.toml", &text), [""; 0], "{}", file.display());
    }
}

#[test]
fn every_misspelt_key_is_refused_by_name_with_the_right_suggestion() {
    let mut tried = 0;
    for (file, text) in examples() {
        let mut keys = Vec::new();
        paths(text.parse::<DocumentMut>().unwrap().as_table(), &[], &mut keys);
        // One field speaks for all that have the same key.
        let mut seen = BTreeSet::new();
        keys.retain(|path| match path.as_slice() {
            [fields, _, rest @ ..] if fields == "fields" => seen.insert(rest.to_vec()),
            _ => true,
        });
        for path in keys {
            let key = path.last().unwrap();
            for word in misspellings(key) {
                let lines = problems("pipeline.toml", &respelt(&text, &path, &word));
                let named = |line: &&String| line.contains(&format!("{word}`")) && line.contains("unknown key");
                let line = lines.iter().find(named);
                let line = line.unwrap_or_else(|| panic!("{}: {path:?} as {word} gives {lines:?}", file.display()));
                assert!(
                    line.ends_with(&format!("did you mean `{key}`?")),
                    "{}: {line}",
                    file.display()
                );
                assert_eq!(
                    lines.len(),
                    1,
                    "{}: one mistake, one line, but {path:?} as {word} gives {lines:#?}",
                    file.display()
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "only {tried} misspellings were tried");
}

//! Which problems of the typed checks may be believed after the walk has mended the tree.

use eddy_pipeline::settings::Problem;

use super::problems::Diagnostic;

/// Leaves out what is said about a table in which something was mended: the value may not be the author's.
pub(super) fn unaffected(problems: Vec<Problem>, mended: &[Diagnostic]) -> Vec<Problem> {
    let touches = |problem: &Problem| {
        mended.iter().any(|diagnostic| {
            let table = parent(&diagnostic.key);
            let same_table = !table.is_empty() && covers(table, &problem.key);
            same_table || covers(&problem.key, &diagnostic.key) || covers(&diagnostic.key, &problem.key)
        })
    };
    problems.into_iter().filter(|problem| !touches(problem)).collect()
}

fn parent(key: &str) -> &str {
    key.rfind(['.', '[']).map_or("", |at| &key[..at])
}

/// Whether `key` is `outer` or something inside it. Nothing is inside the whole file here: a misspelt section does not
/// silence the others.
fn covers(outer: &str, key: &str) -> bool {
    match key.strip_prefix(outer) {
        Some(rest) if !outer.is_empty() => rest.is_empty() || rest.starts_with(['.', '[']),
        _ => false,
    }
}

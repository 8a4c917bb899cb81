//! Texts that anybody may have written, on a terminal: those of events, names, files.
//!
//! Owns: what of them is shown. Never does: quote them.
//!
//! Invariant: what is shown moves no cursor and stays on its line.

/// A text with a mark in the place of whatever would steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// The same, cut short after so many letters.
pub(crate) fn clipped(text: &str, letters: usize) -> String {
    match text.char_indices().nth(letters) {
        Some((at, _)) => format!("{}…", plain(&text[..at])),
        None => plain(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal_and_long_texts_are_cut_between_letters() {
        assert_eq!(plain("a\u{1b}[2J\nü"), "a\u{fffd}[2J\u{fffd}ü");
        assert_eq!(clipped("üü\u{7}", 2), "üü…");
        assert_eq!(clipped("üü\u{7}", 3), "üü\u{fffd}");
    }
}

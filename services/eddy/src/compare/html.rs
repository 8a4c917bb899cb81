//! A report as one page that can be sent on: nothing beside it is needed, nothing in it runs.
//!
//! Invariant: whatever comes from events, files or models is escaped.

use std::fmt::Write as _;

use super::view::{Section, Table};

/// The look is that of the service's own page.
const STYLE: &str = "\
:root{color-scheme:light dark;--paper:#f6f7f8;--card:#fff;--ink:#15202b;--soft:#51606e;--line:#d9dfe4;--link:#005a8c;\
font:100%/1.5 system-ui,sans-serif}\
@media(prefers-color-scheme:dark){:root{--paper:#10161c;--card:#18212a;--ink:#e8edf1;--soft:#a3b1be;--line:#2d3943;\
--link:#7cc4f2}}\
*{box-sizing:border-box}\
body{margin:0 auto;padding:1rem clamp(.75rem,2.5vw,2rem) 2rem;max-width:82rem;background:var(--paper);color:var(--ink);\
overflow-wrap:anywhere}\
h1{font-size:1.25rem}h2{margin:0 0 .5rem;font-size:1.05rem}p{margin:.25rem 0;color:var(--soft)}\
section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1rem;margin:1rem 0}\
.wide{overflow-x:auto}:focus-visible{outline:3px solid var(--link);outline-offset:2px}\
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}\
th,td{padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}\
thead th{color:var(--soft);font-weight:600}tbody th{font-weight:400}\
footer{color:var(--soft);font-size:.875rem}\
@media print{section{break-inside:avoid}}";

pub(super) fn page(sections: &[Section], title: &str) -> String {
    let title = escaped(title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<header><h1>{title}</h1></header>\n<main>\n"
    );
    for (number, section) in sections.iter().enumerate() {
        part(section, number, &mut html);
    }
    html.push_str(
        "</main>\n<footer><p>Written by `eddy replay`, which writes nothing to Kafka.</p></footer>\n</body>\n</html>\n",
    );
    html
}

fn part(section: &Section, number: usize, html: &mut String) {
    let title = escaped(&section.title);
    let mut line = |text: String| {
        html.push_str(&text);
        html.push('\n');
    };
    line(format!(
        "<section aria-labelledby=\"s{number}\">\n<h2 id=\"s{number}\">{title}</h2>"
    ));
    for sentence in &section.says {
        line(format!("<p>{}</p>", escaped(sentence)));
    }
    if let Some(table) = &section.table {
        // What is wider than the window is reached by keyboard, too.
        line(format!(
            "<div class=\"wide\" role=\"region\" aria-labelledby=\"s{number}\" tabindex=\"0\">\n{}</div>",
            of_table(table)
        ));
    }
    line("</section>".to_owned());
}

fn of_table(table: &Table) -> String {
    let mut html = String::from("<table>\n<thead><tr>");
    for cell in &table.head {
        write!(html, "<th scope=\"col\">{}</th>", escaped(cell)).expect("writing to a String cannot fail");
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let (open, close) = match column {
                0 => ("th scope=\"row\"", "th"),
                _ => ("td", "td"),
            };
            write!(html, "<{open}>{}</{close}>", escaped(cell)).expect("writing to a String cannot fail");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n");
    html
}

/// Text that is no markup, neither between tags nor within quotes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_markup_are_text_wherever_they_stand() {
        let nasty = "<script>alert(\"1\")</script>' onload=x & \u{7}";
        let row = vec![nasty.to_owned(), nasty.to_owned()];
        let section = Section {
            title: nasty.into(),
            says: vec![nasty.into()],
            table: Some(Table {
                head: row.clone(),
                rows: vec![row],
            }),
        };
        let html = page(&[section], nasty);
        assert!(
            !html.contains("<script") && !html.contains("alert(\"") && !html.contains('\u{7}'),
            "{html}"
        );
        // Title twice, heading, sentence, two columns, two cells.
        assert_eq!(
            html.matches("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;")
                .count(),
            8
        );
        for outer in ["src=", "href=", "url(", "@import", "http://", "https://"] {
            assert!(!html.contains(outer), "{outer}");
        }
    }
}

//! A page of the manual as text for a terminal, without colour.

use super::markup::{Block, Page, Span, capitals};

/// Columns of a page. Code is never wrapped.
const WIDTH: usize = 80;

/// Columns by which code stands in.
const CODE: usize = 4;

pub(super) fn render(page: &Page<'_>) -> String {
    let mut text = page.title.to_owned() + "\n";
    let mut in_list = false;
    for block in &page.blocks {
        let is_item = matches!(block, Block::Item { .. });
        // The entries of a list stand together.
        if !(is_item && in_list) {
            text.push('\n');
        }
        in_list = is_item;
        match block {
            Block::Heading(heading) => text.push_str(&format!("{}\n", capitals(heading))),
            Block::Paragraph(spans) => text.push_str(&wrapped("", &plain(spans))),
            Block::Item { mark, text: spans } => {
                text.push_str(&wrapped(&format!("  {mark} "), &plain(spans)));
            }
            Block::Code { lines, .. } => {
                for line in lines {
                    let indented = format!("{:CODE$}{line}", "");
                    text.push_str(indented.trim_end());
                    text.push('\n');
                }
            }
        }
    }
    text
}

fn plain(spans: &[Span]) -> String {
    let words = spans.iter().map(|span| match span {
        Span::Plain(text) | Span::Emphasis(text) => text.clone(),
        Span::Code(text) => format!("`{text}`"),
    });
    words.collect()
}

/// `text` behind `first`, in lines of at most [`WIDTH`] columns if its words allow. Further lines
/// stand below the first word.
pub(in crate::cli) fn wrapped(first: &str, text: &str) -> String {
    let indent = " ".repeat(first.len());
    let mut lines = String::new();
    let mut line = first.to_owned();
    for word in text.split_whitespace() {
        let is_empty = line.len() == first.len();
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = indent.clone() + word;
        } else {
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines + &line + "\n"
}

/// `text` in lines of at most [`WIDTH`] columns. Lines that are indented stay as they are.
pub(in crate::cli) fn paragraphs(text: &str) -> String {
    let line = |line: &str| match line.starts_with(' ') {
        true => format!("{line}\n"),
        false => wrapped("", line),
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{super::markup::parse, *};

    #[test]
    fn a_page_reads_well_on_a_terminal() {
        let long = "word ".repeat(20);
        let source = format!(
            "# bastion: a title\n\nA `code` and *stress*.\n\n## One part\n\n- {long}\n- b\n\n10. c\n\n```sh\nls\n\n  -l\n```\n"
        );
        let line = "word ".repeat(15);
        let line = line.trim_end();
        let rest = "word ".repeat(5);
        let rest = rest.trim_end();
        let expected = format!(
            "bastion: a title\n\nA `code` and stress.\n\nONE PART\n\n  - {line}\n    {rest}\n  - b\n  10. c\n\n    ls\n\n      -l\n"
        );
        assert_eq!(render(&parse(&source).unwrap()), expected);
    }
}

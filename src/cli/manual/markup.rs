//! The markup of the manual: a small part of Markdown, read into blocks. Rendering is in the
//! sibling files.
//!
//! Known are one `# title`, `## headings`, paragraphs, `- ` and `1. ` lists, fenced code, `code`
//! and *emphasis*. A page of the manual that uses more does not parse; a test reads them all.

/// A page: its title and what follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    pub(super) blocks: Vec<Block<'a>>,
}

/// Blocks of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block<'a> {
    Heading(&'a str),
    Paragraph(Vec<Span>),
    /// An entry of a list. The mark is `-`, or a number with its dot.
    Item {
        mark: &'a str,
        text: Vec<Span>,
    },
    /// Lines to be shown as they are. The language is the word behind the fence.
    Code {
        #[allow(dead_code, reason = "tests check a block by its language")]
        language: &'a str,
        lines: Vec<&'a str>,
    },
}

/// A piece of a paragraph or an entry. Line ends of the source are spaces here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Span {
    Plain(String),
    Code(String),
    Emphasis(String),
}

/// Reads a page.
///
/// # Errors
/// Returns the line that is not of this markup.
pub(super) fn parse(source: &str) -> Result<Page<'_>, String> {
    let mut lines = source.lines().peekable();
    let title = lines.next().and_then(|line| line.strip_prefix("# "));
    let title = title.ok_or("the first line is not `# TITLE`")?;
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        if let Some(language) = line.strip_prefix("```") {
            let mut code = Vec::new();
            loop {
                match lines.next() {
                    Some("```") => break,
                    Some(line) => code.push(line),
                    None => return Err(format!("the fence {line:?} is not closed")),
                }
            }
            blocks.push(Block::Code {
                language,
                lines: code,
            });
        } else if let Some(heading) = line.strip_prefix("## ") {
            blocks.push(Block::Heading(heading));
        } else if line.starts_with(['#', '|', '>', '\t', ' ']) {
            return Err(format!("{line:?} is not of this markup"));
        } else {
            let (mark, first) = list_mark(line).unzip();
            let mut text = first.unwrap_or(line).trim().to_owned();
            // A paragraph ends at an empty line, an entry also at the next one.
            while let Some(line) = lines.next_if(|line| goes_on(line)) {
                text.push(' ');
                text.push_str(line.trim());
            }
            let text = spans(&text)?;
            blocks.push(match mark {
                Some(mark) => Block::Item { mark, text },
                None => Block::Paragraph(text),
            });
        }
    }
    Ok(Page { title, blocks })
}

fn goes_on(line: &str) -> bool {
    !line.is_empty() && !line.starts_with("```") && list_mark(line).is_none()
}

/// `-` or `1.`, and what follows it.
fn list_mark(line: &str) -> Option<(&str, &str)> {
    let (mark, rest) = line.split_once(' ')?;
    let number = mark.strip_suffix('.');
    let is_number = number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    (mark == "-" || is_number).then_some((mark, rest))
}

fn spans(text: &str) -> Result<Vec<Span>, String> {
    let mut spans = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*']) {
        let (plain, marked) = rest.split_at(at);
        let (mark, marked) = marked.split_at(1);
        let Some((inner, after)) = marked.split_once(mark) else {
            return Err(format!("a {mark} in {text:?} is not closed"));
        };
        if !plain.is_empty() {
            spans.push(Span::Plain(plain.to_owned()));
        }
        spans.push(match mark {
            "`" => Span::Code(inner.to_owned()),
            _ => Span::Emphasis(inner.to_owned()),
        });
        rest = after;
    }
    if !rest.is_empty() {
        spans.push(Span::Plain(rest.to_owned()));
    }
    Ok(spans)
}

/// A heading as man pages have it, in capitals. One that is the name of a key stays as it is.
pub(super) fn capitals(heading: &str) -> String {
    match heading.starts_with(|first: char| first.is_ascii_uppercase()) {
        true => heading.to_uppercase(),
        false => heading.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn plain(text: &str) -> Span {
        Span::Plain(text.to_owned())
    }

    #[test]
    fn every_form_is_read() {
        let source = "# title\n\nSome `code` and\n*more*.\n\n## Part\n\n- one\n  goes on\n- two\n\n1. first\n\n\
                      ```toml\na = 1\n\n- x\n```\n";
        let expected = vec![
            Block::Paragraph(vec![
                plain("Some "),
                Span::Code("code".to_owned()),
                plain(" and "),
                Span::Emphasis("more".to_owned()),
                plain("."),
            ]),
            Block::Heading("Part"),
            Block::Item {
                mark: "-",
                text: vec![plain("one goes on")],
            },
            Block::Item {
                mark: "-",
                text: vec![plain("two")],
            },
            Block::Item {
                mark: "1.",
                text: vec![plain("first")],
            },
            Block::Code {
                language: "toml",
                lines: vec!["a = 1", "", "- x"],
            },
        ];
        let page = parse(source).unwrap();
        assert_eq!((page.title, page.blocks), ("title", expected));
    }

    #[test]
    fn names_of_keys_keep_their_case() {
        for (heading, expected) in [("Set up", "SET UP"), ("[limits]", "[limits]"), ("as", "as")] {
            assert_eq!(capitals(heading), expected);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for source in [
            "no title\n",
            "# t\n\n| a | b |\n",
            "# t\n\n### deep\n",
            "# t\n\n    indented code\n    would be a paragraph\n",
            "# t\n\n```sh\nopen\n",
            "# t\n\nan `open mark\n",
        ] {
            assert!(parse(source).is_err(), "{source:?}");
        }
    }
}

//! A page of the manual as a man page of section 5 or 7.

use roff::{Inline, Roff, bold, italic, roman};

use super::markup::{Block, Page, Span, capitals};

/// The man page of this name and section. `see_also` are pages, as in `daypass(1)`.
pub(super) fn render(
    (name, section): (&str, &str),
    page: &Page<'_>,
    see_also: &[String],
) -> String {
    let mut roff = Roff::new();
    let version = concat!("daypass ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [name, section, r#""""#, version, "Daypass"]);
    roff.control("SH", ["NAME"]);
    let about = page.title.split_once(": ").map_or(page.title, |(_, it)| it);
    roff.text([roman(format!("{name} - {about}"))]);
    roff.control("SH", ["DESCRIPTION"]);
    for block in &page.blocks {
        push(&mut roff, block);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(see_also.join(", "))]);
    roff.render()
}

fn push(roff: &mut Roff, block: &Block<'_>) {
    match block {
        Block::Heading(heading) => {
            roff.control("SH", [&*capitals(heading)]);
        }
        Block::Paragraph(spans) => {
            roff.control("PP", []).text(inlines(spans));
        }
        Block::Item { mark, text } => {
            let (mark, indent) = match *mark {
                "-" => (r"\(bu", "2"),
                number => (number, "4"),
            };
            roff.control("IP", [mark, indent]).text(inlines(text));
        }
        Block::Code { lines, .. } => {
            roff.control("PP", [])
                .control("RS", ["4"])
                .control("nf", []);
            for line in lines {
                // An empty line is bad style in a man page.
                match line.is_empty() {
                    true => roff.control("sp", []),
                    false => roff.text([roman(*line)]),
                };
            }
            roff.control("fi", []).control("RE", []);
        }
    }
}

fn inlines(spans: &[Span]) -> Vec<Inline> {
    let inline = |span: &Span| match span {
        Span::Plain(text) => roman(text),
        Span::Code(text) => bold(text),
        Span::Emphasis(text) => italic(text),
    };
    spans.iter().map(inline).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{super::markup::parse, *};

    #[test]
    fn a_page_is_roff() {
        let source = "# host: a title\n\n.dots and `a\\b` and *x*\n\n## Part\n\n- it's\n\n1. c\n\n```sh\n.x --y\n\nz\n```\n";
        let page = render(
            ("daypass-host", "7"),
            &parse(source).unwrap(),
            &["daypass(1)".to_owned()],
        );
        let (head, body) = page.split_once(".SH DESCRIPTION\n").unwrap();
        assert!(head.contains(".TH daypass-host 7 "), "{head}");
        assert!(head.ends_with("daypass\\-host \\- a title\n"), "{head}");
        let expected = concat!(
            ".PP\n\\&.dots and \\fBa\\\\b\\fR and \\fIx\\fR\n",
            ".SH PART\n.IP \\(bu 2\nit\\*(Aqs\n.IP 1. 4\nc\n",
            ".PP\n.RS 4\n.nf\n\\&.x \\-\\-y\n.sp\nz\n.fi\n.RE\n",
            ".SH \"SEE ALSO\"\ndaypass(1)\n",
        );
        assert_eq!(body, expected);
    }
}

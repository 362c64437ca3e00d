//! The first HTML form of a page, read well enough for the pages of issuers. Pure.

use reqwest::Method;
use url::form_urlencoded;

/// A form with what its fields hold so far.
#[derive(Debug, PartialEq)]
pub(super) struct Form {
    /// The target, relative to its page.
    pub(super) action: String,
    post: bool,
    fields: Vec<(String, String)>,
}

impl Form {
    /// The first form of a page, with every named input and what it is pre-filled with.
    pub(super) fn first(page: &str) -> Option<Self> {
        let mut tags = tags(page).skip_while(|tag| !tag.is("form"));
        let opening = tags.next()?;
        let fields = tags
            .take_while(|tag| !tag.is("/form"))
            .filter(|tag| tag.is("input"))
            .filter_map(|tag| {
                Some((
                    tag.attribute("name")?,
                    tag.attribute("value").unwrap_or_default(),
                ))
            })
            .collect();
        Some(Self {
            action: opening.attribute("action").unwrap_or_default(),
            post: opening
                .attribute("method")
                .is_some_and(|method| method.eq_ignore_ascii_case("post")),
            fields,
        })
    }

    /// Types into the field of that name, if the form has one.
    pub(super) fn fill(&mut self, name: &str, value: &str) {
        for (_, field) in self.fields.iter_mut().filter(|(key, _)| key == name) {
            value.clone_into(field);
        }
    }

    /// HTTP method of the form.
    pub(super) fn method(&self) -> Method {
        if self.post { Method::POST } else { Method::GET }
    }

    /// The body, form-encoded.
    pub(super) fn encode(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.fields)
            .finish()
    }
}

/// Text between `<` and `>`.
#[derive(Clone, Copy)]
struct Tag<'a>(&'a str);

fn tags(page: &str) -> impl Iterator<Item = Tag<'_>> {
    page.split('<')
        .skip(1)
        .map(|rest| Tag(rest.split('>').next().unwrap_or_default()))
}

impl Tag<'_> {
    fn is(&self, name: &str) -> bool {
        let word = self.0.split([' ', '\n', '\t', '\r']).next();
        word.is_some_and(|word| {
            word.trim_end_matches('/').eq_ignore_ascii_case(name) || word.eq_ignore_ascii_case(name)
        })
    }

    /// An attribute's quoted value, with its character references resolved.
    fn attribute(&self, name: &str) -> Option<String> {
        let mut rest = self.0;
        while let Some((before, after)) = rest.split_once('=') {
            let key = before.split_whitespace().last().unwrap_or_default();
            let quote = after.chars().next().filter(|it| matches!(it, '"' | '\''))?;
            let (value, next) = after.strip_prefix(quote)?.split_once(quote)?;
            if key.eq_ignore_ascii_case(name) {
                return Some(unescape(value));
            }
            rest = next;
        }
        None
    }
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_first_form_is_read_with_its_hidden_fields() {
        let page = r#"<p>Hi</p><form autocomplete="off" action="/go?a=1&amp;b=2" method="POST">
            <input type="hidden" name="xsrf" value="&lt;x&quot;"/><input required name='login'>
            <button name="no" value="no">No</button></form>
            <form action="/other"><input name="other"></form>"#;
        let mut form = Form::first(page).unwrap();
        form.fill("login", "al ice");
        form.fill("absent", "nothing");
        assert_eq!(form.action, "/go?a=1&b=2");
        assert_eq!(form.method(), Method::POST);
        assert_eq!(form.encode(), "xsrf=%3Cx%22&login=al+ice");
    }

    #[test]
    fn a_page_without_a_form_asks_for_nothing() {
        assert_eq!(Form::first("<h1>Done</h1> 1 < 2"), None);
    }
}

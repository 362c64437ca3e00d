//! The dev issuer's few web pages. Every value is escaped.

/// The form that signs a person in for the waiting authorization request `id`.
pub(super) fn sign_in(id: &str, message: &str) -> String {
    let hidden = format!(
        r#"<input type="hidden" name="request" value="{}">"#,
        escape(id)
    );
    page("Sign in", &form("/login", &hidden, message))
}

/// The form for a device's user code, filled in if the link has the code.
pub(super) fn device(user_code: &str, message: &str) -> String {
    let field = format!(
        r#"<p><label>Code <input name="user_code" value="{}" required></label></p>"#,
        escape(user_code)
    );
    page("Connect a device", &form("/device", &field, message))
}

/// A page with a message and no form.
pub(super) fn message(text: &str) -> String {
    page(text, "")
}

fn form(action: &str, fields: &str, message: &str) -> String {
    format!(
        r#"<p>{}</p>
<form method="post" action="{action}">
{fields}
<p><label>Name <input name="login" required autofocus placeholder="alice, bob, carol, dave or mallory"></label></p>
<p><label>Password <input name="password" type="password" required></label></p>
<p><button type="submit">Sign in</button></p>
</form>"#,
        escape(message)
    )
}

fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body style="font-family: sans-serif; max-width: 30em; margin: 4em auto">
<h1>{title}</h1>
{body}
<p><small>The issuer of a Daypass dev world.</small></p>
</body></html>
"#
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

//! The claims of ID tokens.

use serde_json::{Value, json};

use super::{
    tokens::assert_refused,
    world::{NOW, Signer, TestIssuer, issuers, now, sign, with},
};
use crate::identity::{Algorithm, Binding};

#[tokio::test]
async fn each_claim_is_checked() {
    let issuer = TestIssuer::start().await;
    let issuers = issuer.issuers();
    let ours = issuer.url.clone();
    let year = 366 * 24 * 3600;
    let day = 24 * 3600;
    let missing = Value::Null;
    let (claims, audience, expired) = ("TOKEN_CLAIMS", "TOKEN_AUDIENCE", "TOKEN_EXPIRED");
    let (early, kind, overage) = ("TOKEN_NOT_YET_VALID", "TOKEN_TYPE", "TOKEN_OVERAGE");
    let wrong_issuer = "TOKEN_ISSUER";
    let place = json!({"src1": {"endpoint": format!("{ours}/groups")}});
    let cases = [
        ("no issuer", "iss", missing.clone(), claims),
        (
            "issuer with a slash",
            "iss",
            json!(format!("{ours}/")),
            wrong_issuer,
        ),
        (
            "issuer in capitals",
            "iss",
            json!(ours.to_uppercase()),
            wrong_issuer,
        ),
        (
            "issuer by another scheme",
            "iss",
            json!(ours.replace("http:", "https:")),
            wrong_issuer,
        ),
        (
            "issuer with a user",
            "iss",
            json!(ours.replace("//", "//x@")),
            wrong_issuer,
        ),
        (
            "issuer with a suffix",
            "iss",
            json!(format!("{ours}.evil.example")),
            wrong_issuer,
        ),
        (
            "issuer with a prefix (CVE-2026-22772)",
            "iss",
            json!(format!("http://evil/{ours}")),
            wrong_issuer,
        ),
        ("issuer in an array", "iss", json!([ours]), wrong_issuer),
        ("issuer null", "iss", json!([null]), wrong_issuer),
        ("no audience", "aud", missing.clone(), claims),
        ("audience cut short", "aud", json!("daypas"), audience),
        ("audience with more", "aud", json!("daypass2"), audience),
        ("audience in capitals", "aud", json!("Daypass"), audience),
        ("audience a number", "aud", json!(7), audience),
        (
            "audience an object",
            "aud",
            json!({"daypass": true}),
            audience,
        ),
        ("no audience in the list", "aud", json!([]), audience),
        (
            "several audiences",
            "aud",
            json!(["daypass", "other"]),
            audience,
        ),
        ("ours twice", "aud", json!(["daypass", "daypass"]), audience),
        (
            "another string audience (CVE-2024-5798)",
            "aud",
            json!("other"),
            audience,
        ),
        (
            "a commitment where the nonce binds",
            "aud",
            json!("daypass#abc"),
            audience,
        ),
        ("another authorized party", "azp", json!("other"), audience),
        (
            "authorized party a list",
            "azp",
            json!(["daypass"]),
            audience,
        ),
        ("no subject", "sub", missing.clone(), claims),
        ("an empty subject", "sub", json!(""), claims),
        ("subject a number", "sub", json!(7), claims),
        ("subject a list", "sub", json!(["alice-1"]), claims),
        (
            "subject with a line break",
            "sub",
            json!("alice\nroot"),
            claims,
        ),
        ("subject with ESC", "sub", json!("alice\u{1b}[2J"), claims),
        (
            "subject with a line separator",
            "sub",
            json!("alice\u{2028}"),
            claims,
        ),
        ("subject beyond ASCII", "sub", json!("\u{430}lice"), claims),
        ("subject too long", "sub", json!("a".repeat(513)), claims),
        ("no expiry", "exp", missing.clone(), claims),
        ("no time of issue", "iat", missing.clone(), claims),
        ("expired", "exp", json!(NOW - 31), expired),
        (
            "expired at the leeway's end",
            "exp",
            json!(NOW - 30),
            expired,
        ),
        ("expiry in ten years", "exp", json!(NOW + 10 * year), claims),
        (
            "expiry more than a day after issue",
            "exp",
            json!(NOW - 10 + day + 1),
            claims,
        ),
        ("expiry before issue", "exp", json!(NOW - 10), claims),
        (
            "expiry a string",
            "exp",
            json!((NOW + 600).to_string()),
            claims,
        ),
        ("expiry a float", "exp", json!(1_800_000_600.5), claims),
        (
            "expiry a whole float",
            "exp",
            json!(1_800_000_600.0),
            claims,
        ),
        ("expiry beyond i64", "exp", json!(u64::MAX), claims),
        (
            "expiry in the year 200000",
            "exp",
            json!(6_000_000_000_000_i64),
            claims,
        ),
        ("expiry negative", "exp", json!(-1), claims),
        ("expiry true", "exp", json!(true), claims),
        ("issued in the future", "iat", json!(NOW + 31), early),
        ("issued long ago", "iat", json!(NOW - year), claims),
        ("issue a string", "iat", json!("now"), claims),
        (
            "issue in RFC 3339",
            "iat",
            json!("2027-01-15T07:59:50Z"),
            claims,
        ),
        ("not yet valid", "nbf", json!(NOW + 31), early),
        ("not before a string", "nbf", json!("0"), claims),
        ("not before a float", "nbf", json!(0.5), claims),
        ("not before a huge float", "nbf", json!(1e300), claims),
        (
            "signed in in the future",
            "auth_time",
            json!(NOW + 31),
            early,
        ),
        ("signed in at a string", "auth_time", json!("0"), claims),
        ("nonce a number", "nonce", json!(7), claims),
        ("no nonce", "nonce", missing.clone(), "KEY_BINDING"),
        (
            "logout token",
            "events",
            json!({"http://schemas.openid.net/event/backchannel-logout": {}}),
            kind,
        ),
        ("Keycloak access token", "typ", json!("Bearer"), kind),
        ("Keycloak logout token", "typ", json!("Logout"), kind),
        ("Cognito access token", "token_use", json!("access"), kind),
        (
            "Entra access token",
            "scp",
            json!("user_impersonation"),
            kind,
        ),
        (
            "groups elsewhere",
            "_claim_names",
            json!({"groups": "src1"}),
            overage,
        ),
        ("sources of groups", "_claim_sources", place, overage),
        (
            "too many groups, said by a boolean",
            "hasgroups",
            json!(true),
            overage,
        ),
        (
            "too many groups, said by a string",
            "hasgroups",
            json!("true"),
            overage,
        ),
    ];
    for (case, name, value, code) in cases {
        let token = sign(&with(&issuer.claims(), name, value));
        assert_refused(&issuers, case, &token, code).await;
    }
    assert_eq!(issuer.all_hits(), 0, "none of these is worth a fetch");
}

#[tokio::test]
async fn a_number_beyond_f64_is_refused() {
    let issuer = TestIssuer::start().await;
    for name in ["exp", "nbf", "iat"] {
        let claims = with(&issuer.claims(), name, json!(8_888_888)).to_string();
        let claims = claims.replace("8888888", "1e400");
        let header = r#"{"alg":"ES256","kid":"es"}"#;
        let token = Signer::shared(Algorithm::ES256).compact(header, &claims);
        assert_refused(&issuer.issuers(), name, &token, "TOKEN_MALFORMED").await;
    }
}

#[tokio::test]
async fn what_is_within_the_rules_is_taken() {
    let issuer = TestIssuer::start().await;
    let issuers = issuer.issuers();
    let cases = [
        ("the one audience in a list", "aud", json!(["daypass"])),
        ("no authorized party", "azp", Value::Null),
        ("a clock behind ours by the leeway", "exp", json!(NOW - 5)),
        (
            "a clock ahead of ours by the leeway",
            "iat",
            json!(NOW + 30),
        ),
        ("valid from within the leeway", "nbf", json!(NOW + 30)),
        ("a whole day", "exp", json!(NOW - 10 + 24 * 3600)),
        ("no groups", "groups", Value::Null),
        ("no overage", "hasgroups", json!(false)),
        ("Keycloak's mark", "typ", json!("ID")),
        ("Cognito's mark", "token_use", json!("id")),
        ("no auth_time", "auth_time", Value::Null),
        (
            "Auth0's way to write times",
            "updated_at",
            json!("2026-11-22T15:00:00.000Z"),
        ),
    ];
    for (case, name, value) in cases {
        let token = sign(&with(&issuer.claims(), name, value));
        let outcome = issuers.verify(&token, now()).await;
        assert!(outcome.is_ok(), "{case}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_email_is_for_policy_only_if_verified_and_plain() {
    let issuer = TestIssuer::start().await;
    let issuers = issuer.issuers();
    let base = issuer.claims();
    let verified = |value| with(&base, "email_verified", value);
    let email = |text: &str| with(&base, "email", json!(text));
    let refused = [
        ("false", verified(json!(false))),
        ("absent", verified(Value::Null)),
        ("a string", verified(json!("true"))),
        ("look-alike", email("\u{430}lice@example.com")),
        ("look-alike domain", email("alice@ex\u{e4}mple.com")),
        ("two @", email("alice@evil.example@example.com")),
        ("no local part", email("@example.com")),
        ("no domain", email("alice@")),
        ("white space", email("alice @example.com")),
        (
            "too long",
            email(&format!("{}@example.com", "a".repeat(250))),
        ),
    ];
    for (case, claims) in refused {
        let identity = issuers.verify(&sign(&claims), now()).await.unwrap();
        assert!(!identity.claims().contains_key("email"), "{case}");
        assert_eq!(identity.label(), "alice-1", "{case}");
    }
    let identity = issuers.verify(&sign(&base), now()).await.unwrap();
    assert_eq!(identity.claims()["email"], json!("alice@example.com"));
}

#[tokio::test]
async fn an_email_of_another_type_spoils_the_token() {
    let issuer = TestIssuer::start().await;
    let issuers = issuer.issuers();
    for (name, value) in [
        ("email", json!(["alice-marker@example.com"])),
        ("email_verified", json!(1)),
        ("email_verified", json!([true])),
    ] {
        let token = sign(&with(&issuer.claims(), name, value));
        assert_refused(&issuers, name, &token, "TOKEN_CLAIMS").await;
    }
}

#[tokio::test]
async fn one_email_with_two_subjects_is_two_people() {
    let issuer = TestIssuer::start().await;
    let issuers = issuer.issuers();
    let one = issuers
        .verify(&sign(&issuer.claims()), now())
        .await
        .unwrap();
    let other = sign(&with(&issuer.claims(), "sub", json!("alice-2")));
    let other = issuers.verify(&other, now()).await.unwrap();
    assert_eq!(one.label(), other.label());
    assert_ne!(one.subject(), other.subject());
}

#[tokio::test]
async fn a_binding_decides_what_must_carry_a_commitment() {
    let issuer = TestIssuer::start().await;
    let base = issuer.claims();
    let bare = with(&base, "nonce", Value::Null);
    let bound = with(&bare, "aud", json!("daypass#abc"));
    let other = with(&bare, "aud", json!("other#abc"));
    let nested = with(&bare, "aud", json!("daypass#x#abc"));
    let both = with(&bare, "aud", json!(["daypass", "daypass#abc"]));
    let (nonce, audience, none) = (Binding::Nonce, Binding::Audience, Binding::None);
    let cases = [
        ("nonce: with", nonce, false, &base, Ok(nonce)),
        ("nonce: without", nonce, false, &bare, Err("KEY_BINDING")),
        ("nonce or device: with", nonce, true, &base, Ok(nonce)),
        ("nonce or device: without", nonce, true, &bare, Ok(none)),
        ("audience: bound", audience, false, &bound, Ok(audience)),
        (
            "audience: not bound",
            audience,
            false,
            &base,
            Err("KEY_BINDING"),
        ),
        (
            "audience: another client's",
            audience,
            false,
            &other,
            Err("TOKEN_AUDIENCE"),
        ),
        (
            "audience: two suffixes",
            audience,
            false,
            &nested,
            Err("TOKEN_AUDIENCE"),
        ),
        (
            "audience: with and without",
            audience,
            false,
            &both,
            Err("TOKEN_AUDIENCE"),
        ),
        ("none: without", none, false, &bare, Ok(none)),
        ("none: any nonce", none, false, &base, Ok(none)),
        ("none: a suffix", none, false, &bound, Err("TOKEN_AUDIENCE")),
    ];
    for (case, binding, device_flow, claims, expected) in cases {
        let mut settings = issuer.settings();
        settings.binding = binding;
        settings.interactive = binding != Binding::Audience;
        settings.device_flow = device_flow;
        let outcome = issuers(vec![settings]).verify(&sign(claims), now()).await;
        let outcome = outcome.map(|identity| identity.binding());
        assert_eq!(outcome.map_err(|error| error.code()), expected, "{case}");
    }
}

/// Zitadel's tokens name all clients of a project, and the project.
#[tokio::test]
async fn several_audiences_count_if_each_is_listed_and_azp_is_ours() {
    let issuer = TestIssuer::start().await;
    let base = issuer.claims();
    let mut settings = issuer.settings();
    settings.audiences = ["daypass", "other", "project"].map(str::to_owned).to_vec();
    let listed = issuers(vec![settings.clone()]);
    settings.audiences = vec!["daypass".to_owned()];
    let default = issuers(vec![settings.clone()]);
    settings.audiences = ["daypass", "project"].map(str::to_owned).to_vec();
    settings.binding = Binding::Audience;
    settings.interactive = false;
    let machines = issuers(vec![settings]);
    let aud = |value| with(&base, "aud", value);
    let zitadel = aud(json!(["daypass", "other", "project"]));
    let foreign = Err("TOKEN_AUDIENCE");
    for (case, issuers, claims, expected) in [
        ("each is listed", &listed, zitadel.clone(), Ok(())),
        (
            "in another order",
            &listed,
            aud(json!(["project", "daypass"])),
            Ok(()),
        ),
        (
            "the client's own is absent",
            &listed,
            aud(json!(["project", "other"])),
            Ok(()),
        ),
        (
            "one is not listed",
            &listed,
            aud(json!(["daypass", "evil"])),
            foreign,
        ),
        (
            "the first is not listed",
            &listed,
            aud(json!(["evil", "daypass"])),
            foreign,
        ),
        (
            "one is no text",
            &listed,
            aud(json!(["daypass", 7])),
            foreign,
        ),
        (
            "the first is no text",
            &listed,
            aud(json!([7, "daypass"])),
            foreign,
        ),
        ("none", &listed, aud(json!([])), foreign),
        (
            "azp of another client",
            &listed,
            with(&zitadel, "azp", json!("other")),
            foreign,
        ),
        (
            "no azp",
            &listed,
            with(&zitadel, "azp", Value::Null),
            foreign,
        ),
        ("the setting's default", &default, zitadel.clone(), foreign),
        (
            "bound by audience",
            &machines,
            aud(json!(["daypass#abc", "project"])),
            foreign,
        ),
        (
            "bound by the second audience",
            &machines,
            aud(json!(["project", "daypass#abc"])),
            foreign,
        ),
    ] {
        let outcome = issuers.verify(&sign(&claims), now()).await;
        let outcome = outcome.map(|_| ()).map_err(|error| error.code());
        assert_eq!(outcome, expected, "{case}");
    }
    let refused = default.verify(&sign(&zitadel), now()).await.unwrap_err();
    assert!(refused.to_string().contains("`audiences`"), "{refused}");
}

#[tokio::test]
async fn too_many_groups_are_told_with_the_claim_the_limit_and_the_way_out() {
    let issuer = TestIssuer::start().await;
    let issuers = issuer.issuers();
    let many: Vec<String> = (0..513).map(|n| n.to_string()).collect();
    for (name, value, code, words) in [
        (
            "groups",
            json!(many),
            "TOKEN_TOO_LARGE",
            ["`groups` has 513", "more than 512"],
        ),
        (
            "cognito:groups",
            json!(many),
            "TOKEN_TOO_LARGE",
            ["`cognito:groups` has 513", "app roles"],
        ),
        (
            "marker",
            json!({"x": many}),
            "TOKEN_TOO_LARGE",
            ["one of them has 513", "app roles"],
        ),
        (
            "_claim_names",
            json!({"groups": "src1"}),
            "TOKEN_OVERAGE",
            ["`_claim_names`", "app roles"],
        ),
        (
            "hasgroups",
            json!(true),
            "TOKEN_OVERAGE",
            ["`hasgroups`", "at most 200"],
        ),
    ] {
        let token = sign(&with(&issuer.claims(), name, value));
        let error = issuers.verify(&token, now()).await.unwrap_err();
        let message = error.to_string();
        assert_eq!(error.code(), code, "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert!(!message.contains("marker"), "{message}");
    }
}

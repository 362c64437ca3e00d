//! What attackers and accidents do to the page.

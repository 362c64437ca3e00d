//! Errors of files as the operating system says them. Pure.

use std::io;

/// The error without the name that tempfile puts behind it: the user never sees that file, and its
/// path left no room for the reason in a host's report.
pub(crate) fn plain(error: io::Error) -> io::Error {
    const NAME: &str = " at path \"";
    let text = error.to_string();
    match text.split_once(NAME) {
        Some((cause, _)) if error.raw_os_error().is_none() => io::Error::new(error.kind(), cause),
        Some(_) | None => error,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests: a panic is the failure")]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_temporary_file_does_not_name_it() {
        let named = tempfile::Builder::new()
            .prefix(".daypass-")
            .tempfile_in("/nonexistent")
            .unwrap_err();
        assert!(named.to_string().contains(".daypass-"), "{named}");
        let plain = plain(named);
        assert_eq!(plain.to_string(), "No such file or directory (os error 2)");
        assert_eq!(plain.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        for error in [
            io::Error::from_raw_os_error(13),
            io::Error::other("a reason"),
            io::Error::new(io::ErrorKind::NotFound, "nothing there"),
        ] {
            let (kind, text) = (error.kind(), error.to_string());
            let plain = plain(error);
            assert_eq!((plain.kind(), plain.to_string()), (kind, text));
        }
    }
}

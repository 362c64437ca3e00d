//! Which passes this host would refuse, and why.

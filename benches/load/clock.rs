//! The CPU time of processes and threads.

use std::{fs, time::Duration};

/// User and system time of a process, from proc(5): fields 14 and 15 of `stat`, in ticks of 10 ms.
pub fn cpu(process: u32) -> Duration {
    ticks(&format!("/proc/{process}/stat"))
}

/// User and system time of the calling thread.
#[allow(dead_code, reason = "one program uses it")]
pub fn cpu_of_thread() -> Duration {
    ticks("/proc/thread-self/stat")
}

fn ticks(file: &str) -> Duration {
    let stat = fs::read_to_string(file).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

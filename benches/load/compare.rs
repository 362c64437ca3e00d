//! Two builds of the daemon, by turns in the same minutes: the only way to see a small difference
//! on a machine with other work.

use std::path::Path;

use daypass::identity::issuer::Algorithm;

use crate::{
    CORE, micros,
    row::{Row, Shape},
    support::{command::DAYPASS, env::TestEnv},
};

/// Turns of each build.
const TURNS: usize = 7;

/// Prints the CPU time of a pass with this build's daemon and with `other`, and their ratio.
pub async fn print(policy: &str, other: &str) {
    println!("server CPU per pass, median of {TURNS}: this build, {other}, ratio");
    for (callers, is_kept, is_new, passes) in [
        (128, true, true, 2560),
        (128, true, false, 2560),
        (16, false, false, 1280),
        (1, true, false, 400),
    ] {
        let shape = Shape {
            callers,
            is_kept,
            is_new,
            algorithm: Algorithm::RS256,
        };
        let mut rows: [Vec<Row>; 2] = Default::default();
        for _ in 0..TURNS {
            for (rows, program) in rows.iter_mut().zip([DAYPASS, other]) {
                rows.push(turn(policy, program, shape, passes).await);
            }
        }
        let [this, other] = rows.map(|mut rows| {
            rows.sort_by_key(Row::per_pass);
            rows.swap_remove(TURNS / 2)
        });
        println!(
            "{callers:>4} {:<9} {:<5}  {:>9}  {:>9}  {:.3}   p50 {:>9}  {:>9}",
            if is_kept { "kept" } else { "fresh TLS" },
            if is_new { "new" } else { "known" },
            micros(this.per_pass()),
            micros(other.per_pass()),
            this.per_pass().as_secs_f64() / other.per_pass().as_secs_f64(),
            micros(this.latency(0.5)),
            micros(other.latency(0.5)),
        );
    }
}

async fn turn(policy: &str, program: &str, shape: Shape, passes: usize) -> Row {
    let served = TestEnv::new().policy(policy).prepare().await;
    let mut process = served.spawn_program(Path::new(program), &CORE, &[]);
    served.expect_api(&mut process).await;
    let daemon = process.0.id();
    let row = shape.measure(&[&served], &[daemon], passes).await;
    process.stop().await;
    row
}

//! A program of exactly 5 + 2 × LOOPS instructions of user mode, for ARM in 64 bits.

#![no_std]
#![no_main]

core::arch::global_asm!(
    ".global _start",
    "_start:",
    concat!("movz x1, #(", env!("LOOPS"), " & 0xffff)"),
    concat!("movk x1, #(", env!("LOOPS"), " >> 16), lsl #16"),
    "1: subs x1, x1, #1",
    "b.ne 1b",
    "mov x0, #0",
    // exit
    "mov x8, #93",
    "svc #0",
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

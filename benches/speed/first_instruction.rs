//! The job whose lateness is measured. Reads the clock, then writes a line to the file
//! that it is given: its slot, and nanoseconds since 1970.
//!
//! Its first instructions are its own. A program that has a C library in it, were it linked
//! statically, asks the processor first what it can do, and of each such question a
//! hypervisor makes a way to itself and back: on a virtual machine that takes longer than
//! everything else between the due instant and here. So this one has none, and no `main`:
//! the kernel begins at `_start`, with what it hands over on the stack.

#![no_std]
#![no_main]
// No loop in here becomes a call to a function of the C library.
#![no_builtins]

use core::arch::{asm, global_asm};

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("how a program begins and calls the kernel is said for x86_64 and aarch64 only");

#[cfg(target_arch = "x86_64")]
mod calls {
    pub(crate) const WRITEV: usize = 20;
    pub(crate) const CLOCK_GETTIME: usize = 228;
    pub(crate) const EXIT_GROUP: usize = 231;
    pub(crate) const OPENAT: usize = 257;
}

#[cfg(target_arch = "aarch64")]
mod calls {
    pub(crate) const OPENAT: usize = 56;
    pub(crate) const WRITEV: usize = 66;
    pub(crate) const EXIT_GROUP: usize = 94;
    pub(crate) const CLOCK_GETTIME: usize = 113;
}

#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "mov rdi, rsp", "and rsp, -16", "call {}", sym begin);

#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x0, sp", "bl {}", sym begin);

const CLOCK_REALTIME: usize = 0;
const AT_FDCWD: usize = -100_isize as usize;
/// To be written to, at its end, and made where it is missing.
const FLAGS: usize = 0o1 | 0o100 | 0o2000;
const MODE: usize = 0o644;

/// # Safety
/// What the call does with the arguments has to be sound.
unsafe fn call(number: usize, [a, b, c, d]: [usize; 4]) -> isize {
    let result: isize;
    // SAFETY: the registers are those of a system call; the caller sees to the rest.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b,
            in("rdx") c, in("r10") d, out("rcx") _, out("r11") _, options(nostack));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a => result, in("x1") b,
            in("x2") c, in("x3") d, options(nostack));
    }
    result
}

fn exit(code: usize) -> ! {
    loop {
        // SAFETY: nothing follows it.
        unsafe { call(calls::EXIT_GROUP, [code, 0, 0, 0]) };
    }
}

/// `stack` is what the kernel left: how many arguments there are, they, nothing, the
/// environment, nothing; each text ends with a zero.
extern "C" fn begin(stack: *const usize) -> ! {
    let mut now = [0_u64; 2];
    // SAFETY: there is room for a `timespec`.
    let read = unsafe { call(calls::CLOCK_GETTIME, [CLOCK_REALTIME, now.as_mut_ptr() as usize, 0, 0]) };
    // SAFETY: the stack is as said above.
    let (file, slot) = unsafe {
        let arguments = *stack;
        (*stack.add(2), slot(stack.add(arguments + 2)))
    };
    let (digits, from) = decimal(now[0] * 1_000_000_000 + now[1]);
    let parts: [(usize, usize); 4] = [
        slot,
        (c" ".as_ptr() as usize, 1),
        (digits.as_ptr() as usize + from, digits.len() - from),
        (c"\n".as_ptr() as usize, 1),
    ];
    // SAFETY: the first argument is a path; the parts are addresses and lengths of texts
    // that are there until the end.
    let written = unsafe {
        match call(calls::OPENAT, [AT_FDCWD, file, FLAGS, MODE]) {
            file @ 0.. => call(calls::WRITEV, [file as usize, parts.as_ptr() as usize, 4, 0]),
            error => error,
        }
    };
    exit(usize::from(read < 0 || written < 0))
}

/// Where the text of the slot begins in the environment, and its length.
///
/// # Safety
/// `environment` is as the kernel leaves it.
unsafe fn slot(mut environment: *const usize) -> (usize, usize) {
    const NAME: &[u8] = b"SOLOCRON_SLOT=";
    // SAFETY: no text is read behind its zero, and nothing behind the last.
    unsafe {
        while *environment != 0 {
            let text = *environment as *const u8;
            if NAME.iter().enumerate().all(|(place, letter)| *text.add(place) == *letter) {
                let value = text.add(NAME.len());
                let mut length = 0;
                while *value.add(length) != 0 {
                    length += 1;
                }
                return (value as usize, length);
            }
            environment = environment.add(1);
        }
    }
    exit(2)
}

/// Its digits, and where they begin.
fn decimal(mut number: u64) -> ([u8; 20], usize) {
    let mut digits = [b'0'; 20];
    let mut from = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        from -= 1;
        if number == 0 {
            break;
        }
    }
    (digits, from)
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(3)
}

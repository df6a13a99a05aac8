/** Guest-physical address of the mailbox that the firmware serves: it has to be a multiple of 64 KiB below 2 GiB. */
export const MAILBOX_ADDRESS = 0x1_0000;
/** The first doubleword of the mailbox: what is to be done. */
export const MAILBOX_GO = 1;
export const MAILBOX_DONE = 2;
/** Offsets in the mailbox: the number of the hypercall, r4 to r9 for it, r3 to r7 after it. Big-endian doublewords. */
export const MAILBOX_OPCODE = 8;
export const MAILBOX_ARGUMENTS = 16;
export const MAILBOX_RESULTS = 64;
export const MAILBOX_BYTES = 104;

/** Where QEMU starts a processor, and where the processor goes when its decrementer went below 0. */
const RESET_VECTOR = 0x100;
const DECREMENTER_VECTOR = 0x900;

/** How often the mailbox is looked at before the processor sleeps, about a tenth of a millisecond, and for how many ticks of 512 MHz. */
const LOOKS = 0x4000;
const SLEEP_HIGH_HALF = 4;
const H_CEDE = 0xe0;

/** Instructions (Power ISA 3.0 book I), as far as the firmware needs them. Registers are numbers. */
const ld = (target: number, offset: number, base: number): number => dsForm(58, target, base, offset);
const std = (source: number, offset: number, base: number): number => dsForm(62, source, base, offset);
const li = (target: number, value: number): number => dForm(14, target, 0, value);
const lis = (target: number, highHalf: number): number => dForm(15, target, 0, highHalf);
const cmpdi = (register: number, value: number): number => dForm(11, 1, register, value);
const beq = (distance: number): number => dForm(16, 12, 2, distance);
const bdnz = (distance: number): number => dForm(16, 16, 0, distance);
const b = (distance: number): number => word(18, distance & 0x3ff_fffc);
const mtctr = (source: number): number => word(31, (source << 21) | (9 << 16) | (467 << 1));
const mtdec = (source: number): number => word(31, (source << 21) | (22 << 16) | (467 << 1));
/** Sets the external interrupt enable bit of the machine state, and no other, from a register. */
const mtmsree = (source: number): number => word(31, (source << 21) | (1 << 16) | (178 << 1));
const LWSYNC = 0x7c20_04ac;
const HYPERCALL = 0x4400_0022;

/** Registers that no hypercall returns anything in. */
const MAILBOX = 30;
const FLAG = 29;
const SCRATCH = 28;

/**
 * A firmware whose only work is to make the hypercalls that it finds in a mailbox: qtest does what a processor does but this. It
 * looks for a while, so that calls in a row are fast, and then sleeps until its decrementer ends, so that it does not keep a
 * processor of the host busy.
 */
export function buildFirmware(): Uint8Array {
  const image = new DataView(new ArrayBuffer(DECREMENTER_VECTOR + 4));
  const serve = serveMailbox();
  const program = [lis(MAILBOX, MAILBOX_ADDRESS >> 16), ...serve];
  program.forEach((instruction, i) => image.setUint32(RESET_VECTOR + 4 * i, instruction));
  // Woken up: look again. The registers are loaded anew, so nothing of what was interrupted is needed.
  image.setUint32(DECREMENTER_VECTOR, b(RESET_VECTOR - DECREMENTER_VECTOR));
  return new Uint8Array(image.buffer);
}

/** The loop, from its first instruction on. Distances are counted in instructions of the list. */
function serveMailbox(): number[] {
  const look = [
    // No interrupt from here on: one in the middle of a call would make it twice.
    li(SCRATCH, 0),
    mtmsree(SCRATCH),
    li(SCRATCH, LOOKS),
    mtctr(SCRATCH),
    // Look at the flag; is there a call to make?
    ld(FLAG, 0, MAILBOX),
    cmpdi(FLAG, MAILBOX_GO),
  ];
  const sleep = [
    // Nothing came: set the decrementer and give the processor away. The hypervisor enables interrupts for that.
    lis(SCRATCH, SLEEP_HIGH_HALF),
    mtdec(SCRATCH),
    li(3, H_CEDE),
    HYPERCALL,
  ];
  const call = [
    // The arguments are read after the flag.
    LWSYNC,
    ...[3, 4, 5, 6, 7, 8, 9].map((register, i) => ld(register, MAILBOX_OPCODE + 8 * i, MAILBOX)),
    HYPERCALL,
    ...[3, 4, 5, 6, 7].map((register, i) => std(register, MAILBOX_RESULTS + 8 * i, MAILBOX)),
    // The results are seen before the flag.
    LWSYNC,
    li(FLAG, MAILBOX_DONE),
    std(FLAG, 0, MAILBOX),
  ];
  // Two branches in front of `sleep`, and one back behind it.
  const toCall = 4 * (2 + sleep.length + 1);
  const sleeping = look.length + 2 + sleep.length;
  const calling = sleeping + 1 + call.length;
  return [...look, beq(toCall), bdnz(-4 * 3), ...sleep, b(-4 * sleeping), ...call, b(-4 * calling)];
}

function word(opcode: number, rest: number): number {
  return ((opcode << 26) | rest) >>> 0;
}

function dForm(opcode: number, first: number, second: number, immediate: number): number {
  return word(opcode, (first << 21) | (second << 16) | (immediate & 0xffff));
}

/** The two low bits of the offset are part of the opcode, and 0. */
function dsForm(opcode: number, first: number, second: number, offset: number): number {
  return dForm(opcode, first, second, offset & 0xfffc);
}

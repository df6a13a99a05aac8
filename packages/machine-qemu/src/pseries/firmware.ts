/** Guest-physical address of the mailbox: a multiple of 64 KiB below 2 GiB. */
export const MAILBOX_ADDRESS = 0x1_0000;
/** Value of the flag, the first doubleword of the mailbox: the firmware is to make a call. */
export const MAILBOX_GO = 1;
/** Value of the flag: the firmware has stored the results of the call. */
export const MAILBOX_DONE = 2;
/** Offset in the mailbox of the number of the hypercall. All fields are big-endian doublewords. */
export const MAILBOX_OPCODE = 8;
/** Offset of the six arguments, in r4 to r9 of the call. */
export const MAILBOX_ARGUMENTS = 16;
/** Offset of the five results, from r3 to r7 after the call. */
export const MAILBOX_RESULTS = 64;
/** Bytes of the mailbox of one call. */
export const MAILBOX_BYTES = 104;
/** Offset, behind it, of the address of the device tree, which the processor has in r3 at the start. */
export const MAILBOX_DEVICE_TREE = 104;

/** The address where QEMU starts a processor, and where the processor continues when its decrementer is below 0. */
const RESET_VECTOR = 0x100;
const DECREMENTER_VECTOR = 0x900;

/**
 * Reads of the flag before the processor sleeps, about a tenth of a millisecond, and the high half of the number of
 * ticks of 512 MHz that it sleeps.
 */
const READS = 0x4000;
const SLEEP_HIGH_HALF = 4;
const H_CEDE = 0xe0;

/** The instructions of the firmware (Power ISA 3.0 book I). Registers are numbers. */
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
/** Sets only the external interrupt enable bit of the machine state from a register. */
const mtmsree = (source: number): number => word(31, (source << 21) | (1 << 16) | (178 << 1));
const LWSYNC = 0x7c20_04ac;
const HYPERCALL = 0x4400_0022;

/** Registers that no hypercall changes. */
const MAILBOX = 30;
const FLAG = 29;
const SCRATCH = 28;

/**
 * A firmware that makes the hypercalls from a mailbox, which is the only work of a processor that qtest cannot do. It
 * polls the mailbox for a while, so that calls in a row are fast. Then it sleeps until its decrementer expires, so that
 * it does not keep a processor of the host busy.
 */
export function buildFirmware(): Uint8Array {
  const image = new DataView(new ArrayBuffer(DECREMENTER_VECTOR + 8));
  const begin = [lis(MAILBOX, MAILBOX_ADDRESS >> 16), std(3, MAILBOX_DEVICE_TREE, MAILBOX)];
  const program = [...begin, ...serveMailbox()];
  program.forEach((instruction, i) => image.setUint32(RESET_VECTOR + 4 * i, instruction));
  // After sleep: serve again. It loads all registers, so it needs no state of the interrupted code.
  image.setUint32(DECREMENTER_VECTOR, begin[0]!);
  const serve = RESET_VECTOR + 4 * begin.length;
  image.setUint32(DECREMENTER_VECTOR + 4, b(serve - (DECREMENTER_VECTOR + 4)));
  return new Uint8Array(image.buffer);
}

/** The loop. Branch distances are bytes, counted in the instructions of the list. */
function serveMailbox(): number[] {
  const poll = [
    // Disable interrupts: one in the middle of a call would repeat the call.
    li(SCRATCH, 0),
    mtmsree(SCRATCH),
    li(SCRATCH, READS),
    mtctr(SCRATCH),
    // Read the flag, and compare it.
    ld(FLAG, 0, MAILBOX),
    cmpdi(FLAG, MAILBOX_GO),
  ];
  const sleep = [
    // Without a call: set the decrementer and cede the processor. The hypervisor enables interrupts for that.
    lis(SCRATCH, SLEEP_HIGH_HALF),
    mtdec(SCRATCH),
    li(3, H_CEDE),
    HYPERCALL,
  ];
  const call = [
    // Read the arguments after the flag.
    LWSYNC,
    ...[3, 4, 5, 6, 7, 8, 9].map((register, i) => ld(register, MAILBOX_OPCODE + 8 * i, MAILBOX)),
    HYPERCALL,
    ...[3, 4, 5, 6, 7].map((register, i) => std(register, MAILBOX_RESULTS + 8 * i, MAILBOX)),
    // Store the results before the flag.
    LWSYNC,
    li(FLAG, MAILBOX_DONE),
    std(FLAG, 0, MAILBOX),
  ];
  // Two branches precede `sleep`, and one branch back follows it.
  const toCall = 4 * (2 + sleep.length + 1);
  const sleeping = poll.length + 2 + sleep.length;
  const calling = sleeping + 1 + call.length;
  return [...poll, beq(toCall), bdnz(-4 * 3), ...sleep, b(-4 * sleeping), ...call, b(-4 * calling)];
}

function word(opcode: number, rest: number): number {
  return ((opcode << 26) | rest) >>> 0;
}

function dForm(opcode: number, first: number, second: number, immediate: number): number {
  return word(opcode, (first << 21) | (second << 16) | (immediate & 0xffff));
}

/** The two low bits of the offset are 0 and belong to the opcode. */
function dsForm(opcode: number, first: number, second: number, offset: number): number {
  return dForm(opcode, first, second, offset & 0xfffc);
}

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildFirmware } from '../../src/pseries/firmware.ts';
import { HypercallMailbox } from '../../src/pseries/hypercall-mailbox.ts';
import { SKIP, startBoard } from '../installed-qemu.ts';

/** Assembled by hand from the instruction formats of the Power ISA, without the code under test. */
const PROGRAM: readonly (readonly [word: number, instruction: string])[] = [
  [0x3fc0_0001, 'lis r30,1'],
  [0xf87e_0068, 'std r3,104(r30)'],
  [0x3b80_0000, 'li r28,0'],
  [0x7f81_0164, 'mtmsrd r28,1'],
  [0x3b80_4000, 'li r28,0x4000'],
  [0x7f89_03a6, 'mtctr r28'],
  [0xebbe_0000, 'ld r29,0(r30)'],
  [0x2c3d_0001, 'cmpdi r29,1'],
  [0x4182_001c, 'beq 0x13c'],
  [0x4200_fff4, 'bdnz 0x118'],
  [0x3f80_0004, 'lis r28,4'],
  [0x7f96_03a6, 'mtdec r28'],
  [0x3860_00e0, 'li r3,0xe0'],
  [0x4400_0022, 'sc 1'],
  [0x4bff_ffd0, 'b 0x108'],
  [0x7c20_04ac, 'lwsync'],
  [0xe87e_0008, 'ld r3,8(r30)'],
  [0xe89e_0010, 'ld r4,16(r30)'],
  [0xe8be_0018, 'ld r5,24(r30)'],
  [0xe8de_0020, 'ld r6,32(r30)'],
  [0xe8fe_0028, 'ld r7,40(r30)'],
  [0xe91e_0030, 'ld r8,48(r30)'],
  [0xe93e_0038, 'ld r9,56(r30)'],
  [0x4400_0022, 'sc 1'],
  [0xf87e_0040, 'std r3,64(r30)'],
  [0xf89e_0048, 'std r4,72(r30)'],
  [0xf8be_0050, 'std r5,80(r30)'],
  [0xf8de_0058, 'std r6,88(r30)'],
  [0xf8fe_0060, 'std r7,96(r30)'],
  [0x7c20_04ac, 'lwsync'],
  [0x3ba0_0002, 'li r29,2'],
  [0xfbbe_0000, 'std r29,0(r30)'],
  [0x4bff_ff88, 'b 0x108'],
];

describe('buildFirmware', () => {
  const image = buildFirmware();
  const words = new DataView(image.buffer);

  it.each(PROGRAM.map(([word, instruction], i) => ({ at: 0x100 + 4 * i, word, instruction })))(
    'has $instruction at its address',
    ({ at, word }) => {
      expect(words.getUint32(at).toString(16)).toBe(word.toString(16));
    },
  );

  it('serves again when the decrementer wakes the processor, and is zero elsewhere', () => {
    // lis r30,1; b 0x108: r3 is the address of the device tree only at the start.
    expect([words.getUint32(0x900), words.getUint32(0x904)]).toEqual([0x3fc0_0001, 0x4bff_f804]);
    expect(image).toHaveLength(0x908);
    const rest = image.filter((_, at) => (at < 0x100 || at >= 0x100 + 4 * PROGRAM.length) && at < 0x900);
    expect(rest.every((byte) => byte === 0)).toBe(true);
  });
});

describe.skipIf(SKIP)('HypercallMailbox on QEMU', () => {
  let started: Awaited<ReturnType<typeof startBoard>>;
  beforeAll(async () => {
    started = await startBoard('pseries');
  });
  afterAll(() => started.dispose());

  it('passes six arguments and returns five results', () => {
    const { memory, qtest } = started;
    const mailbox = new HypercallMailbox(memory, qtest, 5000);
    // H_LOGICAL_CI_STORE and _LOAD (0x40, 0x3c): size, address, value.
    mailbox.setArgument(0, 8, 0);
    mailbox.setArgument(1, 0x20_0000, 0);
    mailbox.setArgument(2, 0x89ab_cdef, 0x0123_4567);
    expect(mailbox.call(0x40)).toBe(0);
    expect(memory.view.getBigUint64(0x20_0000)).toBe(0x0123_4567_89ab_cdefn);
    expect(mailbox.call(0x3c)).toBe(0);
    expect([mailbox.result(1, 0), mailbox.result(1, 1)]).toEqual([0x89ab_cdef, 0x0123_4567]);
    expect(() => mailbox.setArgument(6, 0, 0)).toThrow(RangeError);
  });

  it('returns the error code of a call that does not exist', () => {
    const mailbox = new HypercallMailbox(started.memory, started.qtest, 5000);
    expect(mailbox.call(0x7_fff0)).toBe(-2);
  });

  it('is served again after its processor slept', async () => {
    const mailbox = new HypercallMailbox(started.memory, started.qtest, 5000);
    for (const pause of [0, 1, 5, 100]) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      for (let i = 0; i < 50; i++) expect(mailbox.call(0x7_fff0)).toBe(-2);
    }
  });

  it('has the address of the device tree, also after the processor slept', async () => {
    const mailbox = new HypercallMailbox(started.memory, started.qtest, 5000);
    const address = mailbox.deviceTreeAddress();
    expect(started.memory.view.getUint32(address)).toBe(0xd00d_feed);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(mailbox.deviceTreeAddress()).toBe(address);
  });

  it('throws in bounded time where the processor does not answer', async () => {
    const silent = await startBoard('pc');
    try {
      const mailbox = new HypercallMailbox(silent.memory, silent.qtest, 50);
      const start = performance.now();
      expect(() => mailbox.call(0x20)).toThrow(
        expect.objectContaining({ code: 'ERR_DEVICE_LOST', message: expect.stringMatching(/hypercall 0x20.*50 ms/) }),
      );
      expect(performance.now() - start).toBeLessThan(2000);
    } finally {
      await silent.dispose();
    }
  });
});

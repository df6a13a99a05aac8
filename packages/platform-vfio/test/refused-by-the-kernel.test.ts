import { DmaDirection } from '@virtio-platform/core/dma';
import { describe, expect, it } from 'vitest';
import type { IommufdIoas, SpaprContainer, VfioOptionsInput } from '@virtio-platform/platform-vfio';
import { memoryLockNeeds } from '../src/iova/memory-lock-needs.ts';
import { startProcess } from './user-process.ts';

const MIB = 2 ** 20;
const EVERYTHING = [{ start: 0, size: 2 ** 39 }];

/** The error of a thing that is to throw one. */
function errorOf(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new TypeError('nothing was thrown');
}

function openQueue(input: VfioOptionsInput): unknown {
  return startProcess(input).platform.openMapping('translated', { queue: 0, capacity: 8 });
}

describe('a process whose IOMMU keeps every address to itself', () => {
  it.each(['type1', 'type1v2', 'iommufd'] as const)('C3 is told so by %s, with the ranges', (container) => {
    for (const iovaStart of [undefined, 2 ** 32]) {
      expect(errorOf(() => openQueue({ container, reserved: EVERYTHING, iovaStart }))).toMatchObject({
        code: 'ERR_DMA_RANGE',
        message:
          'the container has no I/O virtual address to map: all are reserved: 0xfee00000..0xfeefffff, 0x0..0x7fffffffff',
        hint: expect.stringContaining('reserved_regions'),
      });
    }
  });

  it.each(['type1', 'type1v2', 'iommufd'] as const)(
    'C3 is told the ranges by %s where none is behind iovaStart',
    (container) => {
      const reserved = [{ start: 2 ** 32, size: 2 ** 39 - 2 ** 32 }];
      expect(errorOf(() => openQueue({ container, reserved, iovaStart: 2 ** 33 }))).toMatchObject({
        code: 'ERR_DMA_RANGE',
        message: expect.stringContaining('the container has 0x0..0xfedfffff, 0xfef00000..0xffffffff'),
      });
    },
  );

  it('C3 is told so by a kernel that does not say what is reserved', () => {
    const { platform } = startProcess<IommufdIoas>({ container: 'iommufd' }, (ioas) => ({
      type: 'iommufd',
      info: () => ({ alignment: 4096, iovaRanges: [], memoryLockLimit: undefined }),
      allowIovas: (ranges) => ioas.allowIovas(ranges),
      map: () => -28,
      unmap: () => -2,
    }));
    expect(errorOf(() => platform.openMapping('translated', { queue: 0, capacity: 1 }))).toMatchObject({
      code: 'ERR_DMA_RANGE',
      message: 'the container has no I/O virtual address to map: all are reserved',
    });
  });

  it.each(['type1', 'type1v2', 'iommufd'] as const)(
    'C3 has coded errors with %s where only one page is left',
    (container) => {
      const reserved = [{ start: 4096, size: 2 ** 39 - 4096 }];
      const { platform, memory } = startProcess({ container, reserved });
      expect(
        errorOf(() => {
          const mapping = platform.openMapping('translated', { queue: 0, capacity: 8 });
          mapping.premap(memory.allocate(8192), 8192, DmaDirection.ToDevice);
        }),
      ).toMatchObject({ code: 'ERR_DMA_EXHAUSTED' });
    },
  );
});

describe('a process over its memory-lock limit', () => {
  const held = { memoryLockLimit: 8 * MIB, capIpcLock: false } as const;

  it.each([
    ['type1v2', { lockedByProcess: 7 * MIB }],
    ['iommufd', { lockedByUser: 7 * MIB }],
  ] as const)('T8 is told by %s what others hold and the limit that is needed', (container, others) => {
    const { platform, memory } = startProcess({ container, ...held, ...others });
    const mapping = platform.openMapping('translated', { queue: 0, capacity: 8 });
    const buffer = memory.allocate(3 * MIB);
    mapping.premap(buffer, 65536, DmaDirection.ToDevice);
    expect(errorOf(() => mapping.premap(buffer, 3 * MIB, DmaDirection.ToDevice))).toMatchObject({
      code: 'ERR_DMA_EXHAUSTED',
      message: expect.stringContaining(
        'ENOMEM; 65536 bytes are pinned, of the 8388608 that may be and of which others hold 7340032',
      ),
      // 7 MiB of others, 64 KiB, and 3 MiB more.
      hint: expect.stringMatching(/^raise the memory-lock limit to at least 10304KiB \(ulimit -l 10304;/),
    });
  });

  // Version 2 needs 4 MiB for what it registers, and as much for the table of its default window.
  it.each([
    [{ container: 'spapr-v1', memoryLockLimit: '1GiB', lockedByProcess: MIB }, 1024 * 1024 + 1024],
    [{ container: 'spapr-v2', ...held, lockedByProcess: 7 * MIB }, 15 * 1024],
  ] as const)('T8 is told so before it maps, with %j', (input, kibibytes) => {
    const { platform } = startProcess<SpaprContainer>(input);
    expect(errorOf(() => platform.openMapping('translated', { queue: 0, capacity: 8 }))).toMatchObject({
      code: 'ERR_DMA_EXHAUSTED',
      hint: expect.stringMatching(new RegExp(`ulimit -l ${kibibytes};.*of which others hold`)),
    });
  });

  it('T8 is told a limit that suffices where the kernel does not say what others hold', () => {
    const { state, hint } = memoryLockNeeds({ memoryLockLimit: 8 * MIB }, { own: 65536, wanted: 4 * MIB });
    expect(state).toBe('65536 bytes are pinned, of the 8388608 that may be; others hold the rest');
    expect(hint).toContain('at least 12288KiB, which is enough whatever others hold');
  });

  it('T8 is not told to raise a limit that is not the cause', () => {
    for (const lockedBytes of [65536, undefined]) {
      const limit = lockedBytes === undefined ? undefined : 64 * MIB;
      const { state, hint } = memoryLockNeeds({ memoryLockLimit: limit, lockedBytes }, { own: 65536, wanted: 4 * MIB });
      expect(state).toBe('65536 bytes are pinned, and the kernel has no memory for it');
      expect(hint).not.toContain('limit');
    }
  });
});

import { DeviceLoop, NOTHING_LEFT, ownTemporaryFolder, RegisterTransport } from '@virtio-platform/conformance/testing';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import block, {
  BLOCK_CONFIG,
  BLOCK_SETTINGS,
  BlockDevice,
  BlockDisk,
  FileBacking,
  SparseBacking,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
  type BlockBacking,
  type BlockResize,
} from '@virtio-platform/device-block';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FailingBacking, systemError } from './failing-backing.ts';

const KIB = 1024;
const MODERN = FeatureSet.of(VIRTIO_F_VERSION_1);
const temporary = ownTemporaryFolder();
afterAll(temporary.remove);

/** A disk behind a ring, what it tells of its configuration, and requests of one sector. */
class ResizedDisk {
  readonly device: BlockDevice;
  readonly loop: DeviceLoop;
  changes = 0;

  constructor(resizes: readonly BlockResize[], backing: BlockBacking = new SparseBacking(64 * KIB)) {
    const common = { readOnly: false, serial: '', queues: 1, queueSize: 32, byteOrder: 'little' } as const;
    this.device = new BlockDevice(backing, { ...common, resizes });
    this.device.connect({ queueChanged: () => {}, configChanged: () => this.changes++ });
    this.loop = new DeviceLoop(this.device, MODERN);
  }

  /** Bytes, as the configuration has them. */
  get capacity(): number {
    return 512 * Number(new DataView(this.device.config.buffer).getBigUint64(BLOCK_CONFIG.capacity.offset, true));
  }

  /** Reads the sector at a byte of the disk: its first byte and its status. */
  read(at: number): readonly (number | undefined)[] {
    const came = this.loop.exchange(0, header(VIRTIO_BLK_T_IN, at), 513)!;
    return came.length === 513 ? [came[0], came[512]] : [undefined, VIRTIO_BLK_S_IOERR];
  }

  write(at: number, byte: number): number | undefined {
    return this.loop.exchange(0, [...header(VIRTIO_BLK_T_OUT, at), ...Array<number>(512).fill(byte)], 1)?.at(-1);
  }
}

function header(type: number, at: number): number[] {
  const bytes = new DataView(new ArrayBuffer(16));
  bytes.setUint32(0, type, true);
  bytes.setBigUint64(8, BigInt(at / 512), true);
  return [...new Uint8Array(bytes.buffer)];
}

describe('a disk that is resized', () => {
  it('has its new size after as many requests as were said, and tells of it once', () => {
    const disk = new ResizedDisk([{ after: 2, capacity: 128 * KIB }]);
    expect([disk.read(0), disk.read(64 * KIB)]).toEqual([
      [0, VIRTIO_BLK_S_OK],
      [undefined, VIRTIO_BLK_S_IOERR],
    ]);
    expect([disk.capacity, disk.changes]).toEqual([64 * KIB, 0]);
    expect(disk.write(127.5 * KIB, 7)).toBe(VIRTIO_BLK_S_OK);
    expect([disk.capacity, disk.changes]).toEqual([128 * KIB, 1]);
    expect([disk.read(127.5 * KIB), disk.read(128 * KIB)]).toEqual([
      [7, VIRTIO_BLK_S_OK],
      [undefined, VIRTIO_BLK_S_IOERR],
    ]);
    expect(disk.changes).toBe(1);
    expect(disk.loop.end()).toEqual(NOTHING_LEFT);
  });

  it('loses what is beyond a smaller size, also when it grows again, and nothing else', () => {
    const disk = new ResizedDisk([
      { after: 3, capacity: 1 * KIB },
      { after: 4, capacity: 64 * KIB },
    ]);
    for (const at of [512, 1024, 63.5 * KIB]) expect(disk.write(at, 9)).toBe(VIRTIO_BLK_S_OK);
    expect(disk.read(1024)).toEqual([undefined, VIRTIO_BLK_S_IOERR]);
    expect([disk.capacity, disk.changes]).toEqual([1 * KIB, 1]);
    expect([disk.read(512), disk.read(1024), disk.read(63.5 * KIB)].map(([byte]) => byte)).toEqual([9, 0, 0]);
    expect([disk.capacity, disk.changes]).toEqual([64 * KIB, 2]);
    expect(disk.loop.end()).toEqual(NOTHING_LEFT);
  });

  it('loses whole chunks of memory too', () => {
    const backing = new SparseBacking(256 * KIB);
    const disk = new ResizedDisk(
      [
        { after: 2, capacity: 64 * KIB },
        { after: 3, capacity: 256 * KIB },
      ],
      backing,
    );
    expect([disk.write(64 * KIB, 9), disk.write(128 * KIB, 9)]).toEqual([VIRTIO_BLK_S_OK, VIRTIO_BLK_S_OK]);
    expect(disk.read(64 * KIB)).toEqual([undefined, VIRTIO_BLK_S_IOERR]);
    expect([disk.read(64 * KIB), disk.read(128 * KIB)].map(([byte]) => byte)).toEqual([0, 0]);
    disk.loop.end();
  });

  it('is resized in the order of the requests, whatever the order of the settings, and across resets', () => {
    const disk = new ResizedDisk([
      { after: 3, capacity: 32 * KIB },
      { after: 1, capacity: 128 * KIB },
    ]);
    const seen = Array.from({ length: 5 }, () => {
      disk.read(0);
      disk.device.start(MODERN);
      return disk.capacity / KIB;
    });
    expect([seen, disk.changes]).toEqual([[64, 128, 128, 32, 32], 2]);
    disk.loop.end();
  });

  it('does without a host that hears of it', () => {
    const options = { readOnly: false, serial: '', queues: 1, queueSize: 32, byteOrder: 'little' } as const;
    const resizes = [{ after: 1, capacity: 512 }];
    const loop = new DeviceLoop(new BlockDevice(new SparseBacking(64 * KIB), { ...options, resizes }), MODERN);
    for (const status of [VIRTIO_BLK_S_OK, VIRTIO_BLK_S_IOERR])
      expect(loop.exchange(0, [...header(VIRTIO_BLK_T_OUT, 512), ...Array<number>(512).fill(1)], 1)).toEqual([status]);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('has an image of that size', () => {
    const path = join(temporary.path, 'resized.img');
    const disk = new ResizedDisk(
      [
        { after: 1, capacity: 128 * KIB },
        { after: 3, capacity: 8 * KIB },
      ],
      new FileBacking(path, 64 * KIB, false),
    );
    expect(disk.read(0)).toEqual([0, VIRTIO_BLK_S_OK]);
    expect([disk.write(512, 5), disk.write(127.5 * KIB, 6)]).toEqual([VIRTIO_BLK_S_OK, VIRTIO_BLK_S_OK]);
    expect(statSync(path).size).toBe(128 * KIB);
    expect(disk.read(512)).toEqual([5, VIRTIO_BLK_S_OK]);
    disk.loop.end();
    const image = readFileSync(path);
    expect([image.length, image[512]]).toEqual([8 * KIB, 5]);
  });

  it('keeps its size where the backing cannot have another, reports that, and answers the request', () => {
    const error = systemError('ENOSPC');
    const disk = new ResizedDisk(
      [{ after: 1, capacity: 128 * KIB }],
      new FailingBacking(64 * KIB, ['resize'], () => error),
    );
    expect([disk.write(0, 1), disk.write(512, 2), disk.read(512)]).toEqual([
      VIRTIO_BLK_S_OK,
      VIRTIO_BLK_S_OK,
      [2, VIRTIO_BLK_S_OK],
    ]);
    expect([disk.capacity, disk.changes, disk.loop.reported]).toEqual([64 * KIB, 0, [error]]);
    expect(disk.loop.end()).toEqual(NOTHING_LEFT);
  });
});

describe('the setting `resizes`', () => {
  it('takes sizes as people write them, and makes a disk with them', () => {
    const settings = BLOCK_SETTINGS.parse({ capacity: '64KiB', resizes: [{ after: 1, capacity: '1MiB' }] });
    expect(settings.resizes).toEqual([{ after: 1, capacity: 1024 * KIB }]);
    const loop = new DeviceLoop(block.model(settings, 'little'), MODERN);
    const last = [...header(VIRTIO_BLK_T_IN, 1024 * KIB - 512)];
    expect(loop.exchange(0, last, 513)).toHaveLength(0);
    expect(loop.exchange(0, last, 513)).toHaveLength(513);
    loop.end();
  });

  it.each([
    ['no request', [{ after: 0, capacity: 512 }]],
    ['half a request', [{ after: 1.5, capacity: 512 }]],
    ['more requests than there are', [{ after: 2 ** 31, capacity: 512 }]],
    ['half a sector', [{ after: 1, capacity: 256 }]],
    ['no size', [{ after: 1 }]],
    ['another key', [{ after: 1, capacity: 512, size: 512 }]],
    ['a size by itself', '32MiB'],
    ['more than 100', Array.from({ length: 101 }, (_, i) => ({ after: i + 1, capacity: 512 }))],
  ])('does not take %s', (_, resizes) => {
    expect(BLOCK_SETTINGS.safeParse({ resizes }).success).toBe(false);
  });
});

describe('the driver half of a disk whose configuration changed', () => {
  it('says what changed, once, and nothing where its capacity did not', () => {
    const device = new BlockDevice(new SparseBacking(64 * KIB), {
      readOnly: false,
      serial: '',
      queues: 1,
      queueSize: 32,
      byteOrder: 'little',
    });
    const loop = new DeviceLoop(device, MODERN);
    const transport = new RegisterTransport({ offered: MODERN, configBytes: 64 });
    const tell = (bytes: number): void =>
      new DataView(transport.config.buffer).setBigUint64(BLOCK_CONFIG.capacity.offset, BigInt(bytes / 512), true);
    tell(64 * KIB);
    const disk = new BlockDisk({
      transport,
      accepted: MODERN,
      byteOrder: 'little',
      memory: loop.memory,
      queues: loop.queues(0),
      buffers: 'premapped',
      depth: 1,
      bytes: 4096,
      notify: () => {},
    });
    expect([disk.capacity, disk.configChanged()]).toEqual([64 * KIB, undefined]);
    tell(32 * KIB * KIB);
    expect([disk.configChanged(), disk.configChanged()]).toEqual(['capacity 64KiB to 32MiB', undefined]);
    tell(512);
    expect([disk.configChanged(), disk.capacity]).toEqual(['capacity 32MiB to 512B', 512]);
    expect(loop.end(disk)).toEqual(NOTHING_LEFT);
  });
});

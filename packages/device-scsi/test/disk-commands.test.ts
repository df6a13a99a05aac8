import { hostileChain, NOTHING_LEFT, pattern } from '@virtio-platform/conformance/testing';
import {
  blockCdb,
  inquiryCdb,
  modeSense6Cdb,
  read10Cdb,
  readCapacity10Cdb,
  readCapacity16Cdb,
  reportLunsCdb,
  requestSenseCdb,
  SENSE,
  startStopUnitCdb,
  synchronizeCacheCdb,
  testUnitReadyCdb,
  unmapCdb,
  unmapList,
  VERIFY_10,
  VIRTIO_SCSI_S_BAD_TARGET,
  VIRTIO_SCSI_S_FAILURE,
  VIRTIO_SCSI_S_OVERRUN,
  VPD_SERIAL,
  write10Cdb,
  write16Cdb,
  writeSame16Cdb,
} from '@virtio-platform/device-scsi';
import { SparseBacking, type BlockBacking } from '@virtio-platform/device-kit';
import { afterEach, describe, expect, it } from 'vitest';
import { ScsiExchange, type Command } from './scsi-exchange.ts';

const MIB = 1024 * 1024;
const BLOCK = pattern(512, 7);
/** No error, no sense, all data moved. */
const GOOD = { response: 0, status: 0, sense: 0, residual: 0 };

let exchange: ScsiExchange;
afterEach(() => expect(exchange.loop.end()).toEqual(NOTHING_LEFT));

function open(input: ConstructorParameters<typeof ScsiExchange>[0] = { disks: [{ capacity: MIB }] }): ScsiExchange {
  exchange = new ScsiExchange(input);
  return exchange;
}

/** A size as the driver writes it. */
function sizeOf(value: number): Uint8Array {
  return Uint8Array.of(value, 0, 0, 0);
}

/** Text of bytes. */
function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes).trim();
}

describe('a disk', () => {
  it('tells of its start once, by a unit attention, to the first command but INQUIRY and REPORT LUNS', () => {
    const { send } = { send: (command: Command) => exchange.send(command) };
    open();
    expect(send({ cdb: inquiryCdb(36), in: 36 })).toMatchObject(GOOD);
    expect(send({ cdb: reportLunsCdb(64), in: 64 })).toMatchObject({ status: 0, residual: 48 });
    expect(send({ cdb: testUnitReadyCdb() })).toMatchObject({ response: 0, status: 2, sense: SENSE.RESET });
    expect(send({ cdb: testUnitReadyCdb() })).toMatchObject(GOOD);
  });

  it('says what it is', () => {
    open({ disks: [{ capacity: MIB, serial: 'serial-9', lun: 3 }] });
    const standard = exchange.send({ lun: 3, cdb: inquiryCdb(255), in: 255 });
    expect(standard).toMatchObject({ status: 0, residual: 255 - 36 });
    expect([standard.data[0], standard.data[4], ascii(standard.data.subarray(8, 16))]).toEqual([0, 31, 'VIRTIO']);
    const pages = exchange.send({ lun: 3, cdb: inquiryCdb(64, 0), in: 64 }).data;
    expect([...pages.subarray(4)]).toEqual([0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2]);
    const serial = exchange.send({ lun: 3, cdb: inquiryCdb(64, VPD_SERIAL), in: 64 }).data;
    expect(ascii(serial.subarray(4))).toBe('serial-9');
    for (const page of pages.subarray(4)) {
      const { data } = exchange.send({ lun: 3, cdb: inquiryCdb(255, page), in: 255 });
      expect([data[1], data.length]).toEqual([page, ((data[2]! << 8) | data[3]!) + 4]);
    }
    expect(exchange.send({ lun: 3, cdb: inquiryCdb(64, 0x42), in: 64 }).sense).toBe(SENSE.INVALID_FIELD_IN_CDB);
  });

  it.each([512, 4096])('says how large it is, in blocks of %d bytes', (blockSize) => {
    open({ disks: [{ capacity: MIB, blockSize }] });
    const short = exchange.ready({ cdb: readCapacity10Cdb(), in: 8 });
    const view = new DataView(Uint8Array.from(short.data).buffer);
    expect([view.getUint32(0), view.getUint32(4)]).toEqual([MIB / blockSize - 1, blockSize]);
    const long = exchange.send({ cdb: readCapacity16Cdb(), in: 32 });
    const longView = new DataView(Uint8Array.from(long.data).buffer);
    expect([longView.getBigUint64(0), longView.getUint32(8)]).toEqual([BigInt(MIB / blockSize - 1), blockSize]);
  });

  it('reads what was written, of any size of command', () => {
    open();
    const data = pattern(3 * 512, 5);
    expect(exchange.ready({ cdb: write10Cdb(9, 3), out: data })).toMatchObject({ ...GOOD, written: 108 });
    for (const cdb of [
      read10Cdb(9, 3),
      blockCdb(16, 0x88, 9, 3),
      [0x08, 0, 0, 9, 3, 0],
      [0xa8, 0, 0, 0, 0, 9, 0, 0, 0, 3],
    ])
      expect(exchange.send({ cdb, in: data.length })).toMatchObject({ ...GOOD, data, written: 108 + data.length });
    expect(exchange.send({ cdb: [0x0a, 0, 0, 20, 1, 0], out: BLOCK })).toMatchObject(GOOD);
    expect(exchange.send({ cdb: read10Cdb(20, 1), in: 512 }).data).toEqual(BLOCK);
    expect(exchange.send({ cdb: synchronizeCacheCdb() })).toMatchObject(GOOD);
    expect(exchange.send({ cdb: blockCdb(10, VERIFY_10, 9, 3) })).toMatchObject(GOOD);
  });

  it('has zeros where it was unmapped, and one block again and again where that was written', () => {
    open();
    exchange.ready({ cdb: write16Cdb(0, 4), out: pattern(2048, 3) });
    const list = unmapList([
      [1, 1],
      [3, 1],
    ]);
    expect(exchange.send({ cdb: unmapCdb(list.length), out: list })).toMatchObject(GOOD);
    const { data } = exchange.send({ cdb: read10Cdb(0, 4), in: 2048 });
    expect([0, 1, 2, 3].map((at) => data.subarray(512 * at, 512 * at + 512).some((byte) => byte !== 0))).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(exchange.send({ cdb: writeSame16Cdb(0, 300), out: BLOCK })).toMatchObject(GOOD);
    expect(exchange.send({ cdb: read10Cdb(299, 1), in: 512 }).data).toEqual(BLOCK);
    // NDOB: zeros, without data.
    expect(exchange.send({ cdb: writeSame16Cdb(299, 1, 1) })).toMatchObject(GOOD);
    expect(exchange.send({ cdb: read10Cdb(299, 1), in: 512 }).data.some((byte) => byte !== 0)).toBe(false);
  });

  it('that is stopped is not ready, and keeps what it has', () => {
    open();
    exchange.ready({ cdb: write10Cdb(0, 1), out: BLOCK });
    exchange.send({ cdb: startStopUnitCdb(false) });
    for (const cdb of [testUnitReadyCdb(), read10Cdb(0, 1), readCapacity10Cdb()])
      expect(exchange.send({ cdb, in: 512 }).sense).toBe(SENSE.NOT_STARTED);
    expect(exchange.send({ cdb: requestSenseCdb(18), in: 18 }).data[2]).toBe(2);
    exchange.send({ cdb: startStopUnitCdb(true) });
    expect(exchange.send({ cdb: read10Cdb(0, 1), in: 512 }).data).toEqual(BLOCK);
  });

  it('that is read-only is write-protected, and says so', () => {
    open({ disks: [{ capacity: MIB, readOnly: true }] });
    const list = unmapList([[0, 1]]);
    for (const [cdb, out] of [
      [write10Cdb(0, 1), BLOCK],
      [writeSame16Cdb(0, 1), BLOCK],
      [unmapCdb(list.length), list],
    ] as const)
      expect(exchange.ready({ cdb, out })).toMatchObject({ sense: SENSE.WRITE_PROTECTED, residual: out.length });
    expect(exchange.send({ cdb: modeSense6Cdb(0x3f, 192), in: 192 }).data[2]! & 0x80).toBe(0x80);
  });
});

describe('a command that cannot be executed', () => {
  const list = unmapList([[MIB / 512, 1]]);
  it.each<readonly [string, Command, number]>([
    ['of no operation code', { cdb: [0xff] }, SENSE.INVALID_OPCODE],
    ['of another service action', { cdb: [0x9e, 0x12], in: 32 }, SENSE.INVALID_FIELD_IN_CDB],
    ['that reads beyond the end', { cdb: read10Cdb(MIB / 512 - 1, 2), in: 1024 }, SENSE.LBA_OUT_OF_RANGE],
    [
      'that reads at block 2^63',
      { cdb: [0x88, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], in: 512 },
      SENSE.LBA_OUT_OF_RANGE,
    ],
    ['that writes beyond the end', { cdb: write10Cdb(MIB / 512, 1), out: BLOCK }, SENSE.LBA_OUT_OF_RANGE],
    ['that unmaps beyond the end', { cdb: unmapCdb(list.length), out: list }, SENSE.LBA_OUT_OF_RANGE],
    ['with half a parameter list', { cdb: unmapCdb(4), out: new Uint8Array(4) }, SENSE.PARAMETER_LIST_LENGTH],
    ['that fills no block', { cdb: writeSame16Cdb(0, 0), out: BLOCK }, SENSE.INVALID_FIELD_IN_CDB],
    ['of saved pages', { cdb: modeSense6Cdb(0xff, 192), in: 192 }, SENSE.SAVING_NOT_SUPPORTED],
    ['of a mode page that is none', { cdb: modeSense6Cdb(0x11, 192), in: 192 }, SENSE.INVALID_FIELD_IN_CDB],
    ['that ejects', { cdb: [0x1b, 0, 0, 0, 2, 0] }, SENSE.INVALID_FIELD_IN_CDB],
    ['for a unit that is not there', { cdb: testUnitReadyCdb(), lun: 4 }, SENSE.LUN_NOT_SUPPORTED],
  ])('gets the sense data for that: %s', (_name, command, sense) => {
    open();
    exchange.ready({ cdb: testUnitReadyCdb() });
    const bytes = (command.out?.length ?? 0) + (command.in ?? 0);
    expect(exchange.send(command)).toMatchObject({ response: 0, status: 2, sense, residual: bytes, written: 108 });
  });

  it.each<readonly [string, Command]>([
    ['a read', { cdb: read10Cdb(0, 2), in: 512 }],
    ['a write', { cdb: write10Cdb(0, 2), out: BLOCK }],
    ['an INQUIRY', { cdb: inquiryCdb(96), in: 36 }],
    ['a WRITE SAME', { cdb: writeSame16Cdb(0, 2) }],
    ['an UNMAP', { cdb: unmapCdb(24) }],
  ])('is an overrun where its buffers are too short: %s', (_name, command) => {
    open();
    exchange.ready({ cdb: testUnitReadyCdb() });
    expect(exchange.send(command)).toMatchObject({ response: VIRTIO_SCSI_S_OVERRUN, status: 0, sense: 0 });
  });

  it('says what it did not move of longer buffers', () => {
    open();
    exchange.ready({ cdb: write10Cdb(0, 1), out: pattern(1000, 1) });
    expect(exchange.send({ cdb: read10Cdb(0, 1), in: 1000 })).toMatchObject({ status: 0, residual: 488, written: 620 });
    expect(exchange.send({ cdb: testUnitReadyCdb(), in: 10 })).toMatchObject({ status: 0, residual: 10 });
  });
});

describe('an address', () => {
  it.each([
    ['of a target that is not there', [1, 9, 0x40, 0, 0, 0, 0, 0], VIRTIO_SCSI_S_BAD_TARGET],
    ['that does not begin with 1', [0, 0, 0x40, 0, 0, 0, 0, 0], VIRTIO_SCSI_S_BAD_TARGET],
    ['with a second level', [1, 0, 0x40, 0, 0, 1, 0, 0], VIRTIO_SCSI_S_BAD_TARGET],
    ['with extended addressing', [1, 0, 0xc0, 0, 0, 0, 0, 0], VIRTIO_SCSI_S_BAD_TARGET],
    ['with peripheral addressing', [1, 0, 0, 0, 0, 0, 0, 0], 0],
  ])('%s', (_name, address, response) => {
    open();
    expect(exchange.send({ address, cdb: inquiryCdb(36), in: 36 }).response).toBe(response);
  });

  it('leads to the units of a target, and to those of all targets', () => {
    open({ disks: [{ lun: 1 }, { target: 2, lun: 0x123 }, { target: 2, lun: 4, plugged: false }] });
    expect([...exchange.send({ target: 2, cdb: reportLunsCdb(64), in: 64 }).data]).toEqual(
      [
        [0, 0, 0, 16, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0x41, 0x23, 0, 0, 0, 0, 0, 0],
      ].flat(),
    );
    const wellKnown = [0xc1, 1, 0, 0, 0, 0, 0, 0];
    expect([...exchange.send({ address: wellKnown, cdb: reportLunsCdb(64), in: 64 }).data.subarray(8)]).toEqual(
      [
        [1, 0, 0x40, 1, 0, 0, 0, 0],
        [1, 2, 0x41, 0x23, 0, 0, 0, 0],
      ].flat(),
    );
    const absent = exchange.send({ target: 2, lun: 4, cdb: inquiryCdb(36), in: 36 });
    expect([absent.status, absent.data[0]]).toEqual([0, 0x7f]);
  });
});

describe('data that memory or image do not give', () => {
  it('is a data phase error where memory is not there, and the disk stays as it was', () => {
    open();
    exchange.ready({ cdb: write10Cdb(0, 1), out: BLOCK });
    const { loop, device } = exchange;
    const at = loop.memory.allocate(0x1000);
    loop.memory.u8.set([1, 0, 0x40, 0, 0, 0, 0, 0], at);
    loop.memory.u8.set(write10Cdb(0, 256), at + 19);
    const chain = hostileChain(
      [
        [at, 51],
        [at, 65_536],
        [2 ** 40, 65_536],
      ],
      [[at + 512, 108]],
    );
    expect(device.process(2, chain, loop.space, loop)).toBe(108);
    expect([...loop.memory.u8.subarray(at + 522, at + 524)]).toEqual([2, 0]);
    expect([loop.memory.u8[at + 524 + 2], loop.memory.u8[at + 524 + 12]]).toEqual([0x0b, 0x4b]);
    expect(exchange.send({ cdb: read10Cdb(0, 1), in: 512 }).data).toEqual(BLOCK);
    loop.memory.free(at);
  });

  it('is a medium error where the image fails, is reported, and the device goes on', () => {
    const backing: BlockBacking = new (class extends SparseBacking {
      override read(): void {
        throw Object.assign(new Error('read failed'), { code: 'EIO' });
      }
      override flush(): void {
        throw Object.assign(new Error('flush failed'), { code: 'ENOSPC' });
      }
    })(MIB);
    exchange = new ScsiExchange({ disks: [{ capacity: MIB }] }, { backing });
    expect(exchange.ready({ cdb: read10Cdb(0, 1), in: 512 }).sense).toBe(SENSE.READ_ERROR);
    expect(exchange.send({ cdb: synchronizeCacheCdb() }).sense).toBe(SENSE.WRITE_ERROR);
    expect(exchange.loop.reported).toHaveLength(2);
    expect(exchange.send({ cdb: testUnitReadyCdb() })).toMatchObject(GOOD);
  });
});

describe('a request that is none', () => {
  it('gets FAILURE as far as there is room', () => {
    open();
    expect(exchange.loop.exchange(2, new Uint8Array(50), 108)).toHaveLength(12);
    expect(exchange.loop.exchange(2, new Uint8Array(50), 108)![11]).toBe(VIRTIO_SCSI_S_FAILURE);
    expect(exchange.loop.exchange(2, new Uint8Array(51), 50)).toHaveLength(12);
    expect(exchange.loop.exchange(2, new Uint8Array(51), 11)).toEqual([]);
    expect(exchange.send({ cdb: read10Cdb(0, 1), out: BLOCK, in: 512 }).response).toBe(VIRTIO_SCSI_S_FAILURE);
  });

  it('follows the sizes that the driver wrote, until a reset', () => {
    open();
    exchange.device.writeConfig(20, sizeOf(18));
    exchange.device.writeConfig(24, sizeOf(16));
    expect(exchange.send({ cdb: testUnitReadyCdb(), cdbSize: 16, sense: 18 })).toMatchObject({
      sense: SENSE.RESET,
      written: 30,
    });
    // No CDB is so short, and no sense data so long.
    exchange.device.writeConfig(24, sizeOf(5));
    exchange.device.writeConfig(20, sizeOf(253));
    expect([exchange.device.config[20], exchange.device.config[24]]).toEqual([18, 16]);
    exchange.device.reset();
    expect([exchange.device.config[20], exchange.device.config[24]]).toEqual([96, 32]);
    expect(exchange.send({ cdb: testUnitReadyCdb() })).toMatchObject(GOOD);
  });
});

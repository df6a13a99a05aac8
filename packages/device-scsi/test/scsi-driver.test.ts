import { NOTHING_LEFT, pattern } from '@virtio-platform/conformance/testing';
import { NO_BUFFER, SparseBacking } from '@virtio-platform/device-kit';
import {
  DiskUnit,
  FLAW_SENSE_LENGTH,
  read10Cdb,
  SCSI_CONFIG,
  SCSI_REQUEST_QUEUE,
  ScsiDevice,
  ScsiDriver,
  SENSE,
  testUnitReadyCdb,
  UNIT_BUSY,
  unitKey,
  VIRTIO_SCSI_S_ABORTED,
  VIRTIO_SCSI_S_BAD_TARGET,
  VIRTIO_SCSI_S_FUNCTION_SUCCEEDED,
  VIRTIO_SCSI_S_OK,
  VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET,
  write10Cdb,
  type ScsiSettingsInput,
} from '@virtio-platform/device-scsi';
import { afterEach, describe, expect, it } from 'vitest';
import { openScsi, settingsOf } from './scsi-run.ts';

let opened: ReturnType<typeof openScsi>;
let driver: ScsiDriver | undefined;
afterEach(() => {
  expect(opened.rings.end(driver)).toEqual(NOTHING_LEFT);
  driver = undefined;
});

/** A device half of these settings; `depth` commands at once. */
function open(input: ScsiSettingsInput = {}, depth = 4): ScsiDevice {
  const { disks, queues, changes, slow } = settingsOf(input);
  const units = disks.map((disk) => new DiskUnit(disk, new SparseBacking(disk.capacity)));
  const device = new ScsiDevice(units, { queues, queueSize: 64, changes, slow, byteOrder: 'little' });
  opened = openScsi(device, { depth, bytes: 8192 });
  return device;
}

/** Writes a field of the configuration of a device half. */
function configure(device: ScsiDevice, field: keyof typeof SCSI_CONFIG, value: number): void {
  new DataView(device.config.buffer).setUint32(SCSI_CONFIG[field].offset, value, true);
}

/** Makes a command and waits for it. */
function run(...command: Parameters<ScsiDriver['command']>): ReturnType<ScsiDriver['result']> {
  const id = driver!.command(...command);
  expect(id).toBeGreaterThanOrEqual(0);
  driver!.flush();
  opened.rings.serve();
  expect([driver!.poll(), driver!.completedIds[0]]).toEqual([1, id]);
  const result = driver!.result(id);
  driver!.give(id);
  return result;
}

describe('a command of the driver half', () => {
  it('comes back with its id, its answer and its data', () => {
    open({ disks: [{ target: 3, lun: 500 }], queues: 2 });
    driver = new ScsiDriver(opened.context);
    expect(run(3, 500, testUnitReadyCdb(), undefined, 0)).toMatchObject({ status: 2, senseCode: SENSE.RESET });
    const data = pattern(1024, 2);
    expect(run(3, 500, write10Cdb(7, 2), data, 0)).toMatchObject({ response: 0, status: 0, residual: 0, flaws: 0 });
    expect(run(3, 500, read10Cdb(7, 2), undefined, 1024)).toMatchObject({ status: 0, residual: 0, data });
    expect(run(3, 500, read10Cdb(7, 2), undefined, 4096)).toMatchObject({ residual: 3072, data });
    expect(run(9, 0, testUnitReadyCdb(), undefined, 0).response).toBe(VIRTIO_SCSI_S_BAD_TARGET);
  });

  it('is refused where no device could take it, and its id is free again', () => {
    open({}, 1);
    driver = new ScsiDriver(opened.context);
    const command = driver.command.bind(driver);
    expect(() => command(0, 0, new Uint8Array(33), undefined, 0)).toThrow('a CDB of 33 bytes');
    expect(() => command(0, 0, read10Cdb(0, 1), undefined, 8193)).toThrow('at most 8192');
    expect(() => command(0, 0, read10Cdb(0, 1), new Uint8Array(8193), 0)).toThrow('at most 8192');
    expect(() => command(0, 0, read10Cdb(0, 1), new Uint8Array(4), 4)).toThrow('SCSI_INOUT');
    expect(() => command(256, 0, testUnitReadyCdb(), undefined, 0)).toThrow('target 256');
    expect(() => command(0, 16_384, testUnitReadyCdb(), undefined, 0)).toThrow('logical unit 16384');
    expect(run(0, 0, testUnitReadyCdb(), undefined, 0).status).toBe(2);
  });

  it('waits where all ids are in use, and where its unit has as many as cmd_per_lun', () => {
    const device = open({ disks: [{ lun: 0 }, { lun: 1 }], slow: { every: 1, delay: 1000 } });
    configure(device, 'cmd_per_lun', 2);
    driver = new ScsiDriver(opened.context);
    const make = (lun: number): number => driver!.command(0, lun, testUnitReadyCdb(), undefined, 0);
    const given = [make(0), make(0), make(0), make(1), make(1), make(1)];
    expect(given.map((id) => (id >= 0 ? 0 : id))).toEqual([0, 0, UNIT_BUSY, 0, 0, NO_BUFFER]);
    expect(new Set(given.filter((id) => id >= 0)).size).toBe(4);
    expect(driver.inFlight).toBe(4);
  });

  it('is found, aborted and back before the answer to its abort', () => {
    open({ slow: { every: 1, delay: 1000 } });
    driver = new ScsiDriver(opened.context);
    const id = driver.command(0, 0, testUnitReadyCdb(), undefined, 0);
    driver.flush();
    const ask = (control: number): number => {
      driver!.flush();
      expect([driver!.pollControls(), driver!.completedControls[0]]).toEqual([1, control]);
      driver!.giveControl(control);
      return driver!.controlResponse(control);
    };
    expect(ask(driver.queryTask(id))).toBe(VIRTIO_SCSI_S_FUNCTION_SUCCEEDED);
    expect(ask(driver.abort(id))).toBe(VIRTIO_SCSI_S_OK);
    expect([driver.poll(), driver.responseOf(id)]).toEqual([1, VIRTIO_SCSI_S_ABORTED]);
    expect(() => driver!.abort(id)).toThrow('is not in flight');
    driver.give(id);
    expect(ask(driver.manage(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 0, 0))).toBe(VIRTIO_SCSI_S_OK);
    expect(ask(driver.queryNotifications(0, 0, 0x7e))).toBe(VIRTIO_SCSI_S_OK);
  });

  it('hears of events, and gives their buffers back', () => {
    const changes = Array.from({ length: 12 }, (_, at) => ({ after: at + 1, do: 'reset' }) as const);
    open({ changes });
    driver = new ScsiDriver(opened.context);
    let heard = 0;
    for (let i = 0; i < 13; i++) {
      run(0, 0, testUnitReadyCdb(), undefined, 0);
      for (const event of driver.pollEvents()) {
        heard++;
        expect(event).toEqual({ event: 1, unit: unitKey(0, 0), reason: 0, hasMissed: false });
      }
    }
    expect(heard).toBe(12);
  });
});

describe('a device that says what cannot be', () => {
  it.each([
    ['num_queues', 0, 'no request queue'],
    ['event_info_size', 5000, 'event_info_size 5000'],
  ] as const)('is refused: %s %d', (field, value, problem) => {
    configure(open(), field, value);
    expect(() => new ScsiDriver(opened.context)).toThrow(problem);
  });

  it('is told the sizes of CDB and sense data, and refused where it keeps others', () => {
    const device = open();
    configure(device, 'cdb_size', 64);
    configure(device, 'sense_size', 252);
    new ScsiDriver(opened.context).dispose();
    expect([device.config[20], device.config[24]]).toEqual([96, 32]);
    configure(device, 'cdb_size', 64);
    device.writeConfig = () => {};
    expect(() => new ScsiDriver(opened.context)).toThrow('keeps cdb_size 64, and was told 32');
  });

  it('has its answer cut to what there is', () => {
    const device = open();
    const process = device.process.bind(device);
    device.process = (queue, chain, space, queues) => {
      if (queue !== SCSI_REQUEST_QUEUE) return process(queue, chain, space, queues);
      const bytes = new Uint8Array(108).fill(0xfe);
      space.write(chain.low[chain.readable]!, chain.high[chain.readable]!, bytes, 0, 108);
      return 108;
    };
    driver = new ScsiDriver(opened.context);
    const result = run(0, 0, read10Cdb(0, 1), undefined, 512);
    expect(result).toMatchObject({ response: 0xfe, senseCode: -1, residual: 512 });
    expect([result.sense.length, result.data.length]).toEqual([96, 0]);
    expect(result.flaws & FLAW_SENSE_LENGTH).toBe(FLAW_SENSE_LENGTH);
  });
});

import { DeviceError, type ConfigTable, type NegotiatedDevice } from '@virtio-platform/core';
import { ConfigFields } from '@virtio-platform/device-kit';
import * as wire from './layout.ts';

/** The names of the fields of the configuration space. */
export type ScsiField =
  | 'num_queues'
  | 'seg_max'
  | 'max_sectors'
  | 'cmd_per_lun'
  | 'event_info_size'
  | 'sense_size'
  | 'cdb_size'
  | 'max_channel'
  | 'max_target'
  | 'max_lun';

/** The fields of the configuration space. Specification 1.4 section 5.6.4. */
export const SCSI_CONFIG: ConfigTable<ScsiField> = {
  num_queues: { offset: 0, width: 4 },
  seg_max: { offset: 4, width: 4 },
  max_sectors: { offset: 8, width: 4 },
  cmd_per_lun: { offset: 12, width: 4 },
  event_info_size: { offset: 16, width: 4 },
  sense_size: { offset: 20, width: 4, isWritable: true },
  cdb_size: { offset: 24, width: 4, isWritable: true },
  max_channel: { offset: 28, width: 2 },
  max_target: { offset: 30, width: 2 },
  max_lun: { offset: 32, width: 4 },
};

/** What a driver has to know of a SCSI host. */
export interface ScsiConfig {
  /** Request queues that the driver uses: no more than the device has, whatever it says. */
  readonly queues: number;
  /** Most data segments of one request. */
  readonly segMax: number;
  /** Most bytes of data of one request, as the device wishes. */
  readonly maxBytes: number;
  /** Most requests of one logical unit in flight. */
  readonly commandsPerUnit: number;
  /** Bytes of an event buffer. */
  readonly eventSize: number;
  /** Largest target and logical unit that may exist. */
  readonly maxTarget: number;
  readonly maxLun: number;
}

/** max_sectors counts these, whatever the blocks of a disk are. */
const SECTOR_SIZE = 512;
/** What Linux takes for a max_sectors of 0. */
const DEFAULT_SECTORS = 0xffff;
/** Bytes of an event buffer at most: an event has 16. */
const MOST_EVENT_SIZE = 4096;

/**
 * Reads the configuration of a SCSI host and checks it (specification 1.4 section 5.6.4). As in Linux, a seg_max,
 * max_sectors or cmd_per_lun of 0 says nothing. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for no request queue at
 * all, and for events longer than 4096 bytes.
 */
export function readScsiConfig(device: NegotiatedDevice): ScsiConfig {
  const fields = new ConfigFields(device);
  const queues = fields.number(SCSI_CONFIG.num_queues, 0);
  if (queues === 0) {
    throw new DeviceError('ERR_DEVICE_CONFIG', 'the device has no request queue (num_queues 0, virtio 1.4 §5.6.4)', {
      hint: 'a SCSI host has one at least',
    });
  }
  const eventSize = fields.number(SCSI_CONFIG.event_info_size, 0);
  if (eventSize > MOST_EVENT_SIZE) {
    const problem = `the device says event_info_size ${eventSize}, and an event has ${wire.SCSI_EVENT_SIZE} bytes`;
    throw new DeviceError('ERR_DEVICE_CONFIG', `${problem} (virtio 1.4 §5.6.4)`, {
      hint: `the device has to say at most ${MOST_EVENT_SIZE}`,
    });
  }
  const room = device.transport.queueCount - wire.SCSI_REQUEST_QUEUE;
  return {
    queues: Math.max(1, Math.min(queues, room, wire.SCSI_MAX_QUEUES)),
    segMax: fields.number(SCSI_CONFIG.seg_max, 0) || 1,
    maxBytes: (fields.number(SCSI_CONFIG.max_sectors, 0) || DEFAULT_SECTORS) * SECTOR_SIZE,
    commandsPerUnit: fields.number(SCSI_CONFIG.cmd_per_lun, 0) || 1,
    eventSize: Math.max(wire.SCSI_EVENT_SIZE, eventSize),
    maxTarget: Math.min(wire.SCSI_MAX_TARGET, fields.number(SCSI_CONFIG.max_target, 0)),
    maxLun: Math.min(wire.SCSI_MAX_LUN, fields.number(SCSI_CONFIG.max_lun, 0)),
  };
}

/**
 * Has the device use CDBs of 32 bytes and sense data of 96, as Linux does: an earlier driver may have written other
 * sizes. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where the device keeps others.
 */
export function writeScsiSizes(device: NegotiatedDevice): void {
  const { transport, byteOrder } = device;
  const fields = new ConfigFields(device);
  const bytes = new Uint8Array(4);
  for (const [name, size] of [
    ['sense_size', wire.SCSI_SENSE_SIZE],
    ['cdb_size', wire.SCSI_CDB_SIZE],
  ] as const) {
    const field = SCSI_CONFIG[name];
    if (fields.number(field, 0) === size) continue;
    new DataView(bytes.buffer).setUint32(0, size, byteOrder === 'little');
    transport.writeConfig(field.offset, bytes);
    const kept = fields.number(field, 0);
    if (kept === size) continue;
    throw new DeviceError('ERR_DEVICE_CONFIG', `the device keeps ${name} ${kept}, and was told ${size}`, {
      hint: `the driver decides ${name} (virtio 1.4 §5.6.4)`,
    });
  }
}

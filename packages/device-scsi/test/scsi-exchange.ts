import { DeviceLoop } from '@virtio-platform/conformance/testing';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { SparseBacking, type BlockBacking } from '@virtio-platform/device-kit';
import {
  DiskUnit,
  SCSI_REQUEST_QUEUE,
  SCSI_SETTINGS,
  ScsiDevice,
  VIRTIO_SCSI_F_CHANGE,
  VIRTIO_SCSI_F_HOTPLUG,
  writeLun,
  type ScsiSettingsInput,
} from '@virtio-platform/device-scsi';

const ALL = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_SCSI_F_HOTPLUG, VIRTIO_SCSI_F_CHANGE);

/** What a device answered to a command. */
export interface Answer {
  readonly response: number;
  readonly status: number;
  readonly residual: number;
  /** Key, ASC and ASCQ; 0 for none. */
  readonly sense: number;
  readonly data: Uint8Array;
  /** Bytes that count as written. */
  readonly written: number;
}

/** A command in bytes: what a driver would write. */
export interface Command {
  readonly cdb: Uint8Array | readonly number[];
  readonly out?: Uint8Array;
  readonly in?: number;
  readonly target?: number;
  readonly lun?: number;
  /** In place of target and unit. */
  readonly address?: readonly number[];
  readonly id?: number;
  readonly sense?: number;
  readonly cdbSize?: number;
  readonly queue?: number;
}

/** A device half behind real rings, with what a test sends and gets. */
export class ScsiExchange {
  readonly device: ScsiDevice;
  readonly loop: DeviceLoop;

  constructor(
    input: ScsiSettingsInput = {},
    { accepted = ALL, backing }: { readonly accepted?: FeatureSet; readonly backing?: BlockBacking } = {},
  ) {
    const settings = SCSI_SETTINGS.parse(input);
    const units = settings.disks.map((disk) => new DiskUnit(disk, backing ?? new SparseBacking(disk.capacity)));
    const { queues, changes, slow } = settings;
    this.device = new ScsiDevice(units, { queues, queueSize: 64, changes, slow, byteOrder: 'little' });
    this.loop = new DeviceLoop(this.device, accepted, 'little', 64);
    this.device.connect({ queueChanged: () => this.loop.serve(), configChanged() {} });
  }

  /** Makes a command whose unit attention was told before. */
  ready(command: Command): Answer {
    for (let tries = 0; tries < 8; tries++) {
      const answer = this.send(command);
      if (answer.sense >> 16 !== 6) return answer;
    }
    throw new Error('the unit is not ready');
  }

  /** Makes a command. */
  send(command: Command): Answer {
    const written = this.loop.exchange(command.queue ?? SCSI_REQUEST_QUEUE, requestOf(command), roomOf(command));
    if (written === undefined) throw new Error('the command did not come back');
    return answerOf(written, command.sense ?? 96);
  }
}

/** Bytes that the device may write: response, sense data, data-in. */
export function roomOf({ sense = 96, in: dataIn = 0 }: Command): number {
  return 12 + sense + dataIn;
}

/** The device-readable part of a command. */
export function requestOf(command: Command): Uint8Array {
  const { cdb, out = new Uint8Array(0), target = 0, lun = 0, address, id = 1, cdbSize = 32 } = command;
  const bytes = new Uint8Array(19 + cdbSize + out.length);
  if (address === undefined) writeLun(bytes, 0, target, lun);
  else bytes.set(address);
  new DataView(bytes.buffer).setBigUint64(8, BigInt(id), true);
  bytes.set(cdb, 19);
  bytes.set(out, 19 + cdbSize);
  return bytes;
}

/** What the device wrote, read as a response. */
export function answerOf(written: readonly number[], senseSize: number): Answer {
  const bytes = Uint8Array.from(written);
  if (bytes.length < 12)
    return { response: -1, status: -1, residual: -1, sense: -1, data: bytes, written: bytes.length };
  const view = new DataView(bytes.buffer);
  const length = view.getUint32(0, true);
  const sense = length < 14 ? 0 : (bytes[14]! << 16) | (bytes[24]! << 8) | bytes[25]!;
  return {
    response: bytes[11]!,
    status: bytes[10]!,
    residual: view.getUint32(4, true),
    sense,
    data: bytes.subarray(12 + senseSize),
    written: bytes.length,
  };
}

import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { ByteOrder, DescriptorChain } from '@virtio-platform/core/queue';
import { writeChain } from '@virtio-platform/device-kit';
import { SCSI_EVENT_SIZE, VIRTIO_SCSI_T_EVENTS_MISSED, VIRTIO_SCSI_T_NO_EVENT } from '../layout.ts';
import { writeLun } from '../scsi-lun.ts';
import type { DiskUnit } from './disk-unit.ts';

/** Events that wait for the driver's buffers; more are lost, which the driver is told (section 5.6.6.3). */
const MOST_PENDING = 64;

interface PendingEvent {
  readonly event: number;
  readonly unit: DiskUnit | undefined;
  readonly reason: number;
}

/** The events of a SCSI host: what happened to its units, for the buffers of the event queue. */
export class EventReports {
  readonly #littleEndian: boolean;
  readonly #bytes: Uint8Array = new Uint8Array(SCSI_EVENT_SIZE);
  readonly #view: DataView = new DataView(this.#bytes.buffer);
  readonly #pending: PendingEvent[] = [];
  #hasMissed = false;

  constructor(byteOrder: ByteOrder) {
    this.#littleEndian = byteOrder === 'little';
  }

  /** Whether there is something to say. Hot. */
  get hasEvent(): boolean {
    return this.#pending.length > 0 || this.#hasMissed;
  }

  clear(): void {
    this.#pending.length = 0;
    this.#hasMissed = false;
  }

  /** Notes an event; loses it where too many wait. */
  add(event: number, unit: DiskUnit, reason: number): void {
    if (this.#pending.length < MOST_PENDING) this.#pending.push({ event, unit, reason });
    else this.#hasMissed = true;
  }

  /** Writes the next event to a buffer. One that the buffer has no room for, or that cannot be written, is lost. */
  deliver(chain: DescriptorChain, space: DeviceAddressSpace): number {
    const next = this.#pending.shift() ?? { event: VIRTIO_SCSI_T_NO_EVENT, unit: undefined, reason: 0 };
    const flag = this.#hasMissed ? VIRTIO_SCSI_T_EVENTS_MISSED : 0;
    this.#bytes.fill(0);
    this.#view.setUint32(0, (next.event | flag) >>> 0, this.#littleEndian);
    if (next.unit !== undefined) writeLun(this.#bytes, 4, next.unit.target, next.unit.lun);
    this.#view.setUint32(12, next.reason, this.#littleEndian);
    this.#hasMissed =
      chain.writableBytes < SCSI_EVENT_SIZE || !writeChain(chain, space, 0, this.#bytes, 0, SCSI_EVENT_SIZE);
    return this.#hasMissed ? 0 : SCSI_EVENT_SIZE;
  }
}

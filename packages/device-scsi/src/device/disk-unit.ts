import type { BlockBacking } from '@virtio-platform/device-kit';
import { SENSE, type SenseCode } from '../scsi-sense.ts';
import type { ScsiDiskSettings } from '../scsi-settings.ts';
import { unitKey } from '../scsi-lun.ts';

/** Unit attentions that a unit remembers; the newest of more is lost, as it would say nothing that these do not. */
const MOST_ATTENTIONS = 4;

/** A logical unit: a disk with its state. */
export class DiskUnit {
  readonly key: number;
  readonly target: number;
  readonly lun: number;
  readonly blockSize: number;
  readonly isReadOnly: boolean;
  readonly serial: string;
  readonly backing: BlockBacking;
  /** Whether it is on the bus. */
  isPlugged: boolean;
  /** Whether it was not stopped by START STOP UNIT. */
  isStarted = true;
  readonly #attentions: SenseCode[] = [];

  /** Owns `backing`. */
  constructor(settings: ScsiDiskSettings, backing: BlockBacking) {
    const { target, lun } = settings;
    this.key = unitKey(target, lun);
    this.target = target;
    this.lun = lun;
    this.blockSize = settings.blockSize;
    this.isReadOnly = settings.readOnly;
    this.serial = settings.serial;
    this.isPlugged = settings.plugged;
    this.backing = backing;
  }

  /** Logical blocks. */
  get blocks(): number {
    return Math.floor(this.backing.capacity / this.blockSize);
  }

  /** Whether a unit attention waits to be told. Hot. */
  get hasAttention(): boolean {
    return this.#attentions.length > 0;
  }

  /** Is as after power on or a reset, which the next command is told of. */
  reset(attention: SenseCode): void {
    this.isStarted = true;
    this.#attentions.length = 0;
    this.#attentions.push(attention);
  }

  /** Has the next commands told of a condition, once. */
  attend(attention: SenseCode): void {
    if (this.#attentions.length < MOST_ATTENTIONS && !this.#attentions.includes(attention))
      this.#attentions.push(attention);
  }

  /** Takes the unit attention that is to be told next; no sense without one. */
  takeAttention(): SenseCode {
    return this.#attentions.shift() ?? SENSE.NONE;
  }

  /** REPORT LUNS was answered, which tells more than the attention does (SPC-4 section 6.33). */
  clearAttention(attention: SenseCode): void {
    const at = this.#attentions.indexOf(attention);
    if (at >= 0) this.#attentions.splice(at, 1);
  }
}

import type { ConsoleSize } from '@virtio-platform/device-console';
import type { ScsiEvent } from '@virtio-platform/device-scsi';

/** A port that a console announced. */
export interface ConsolePortInfo {
  /** The number of the port. */
  readonly id: number;
  /** What the device calls it; empty where it says nothing. Not to be trusted: any text. */
  readonly name: string;
  readonly isConsole: boolean;
  /** Of a console: characters, where the device said so. */
  readonly size: ConsoleSize | undefined;
  /** Whether the other side has it open. */
  readonly isHostOpen: boolean;
}

/** The events of clients. */
export interface ClientEvents {
  /** The device failed, with the error; the client is closed. Nothing is thrown where no listener is. */
  failed: [error: unknown];
  /** The device changed its configuration: what changed, in a few words, where the driver half knows it. */
  change: [what: string | undefined];
  /** Everything ended: the device was reset, and what was started for it is gone. */
  close: [];
  /** Of a console: a port was `added` or `removed`, `opened` or `closed` by the other side, `named`, `resized`. */
  port: [kind: string, port: ConsolePortInfo];
  /** Of a SCSI host: a unit came, went or changed. */
  unit: [event: ScsiEvent];
}

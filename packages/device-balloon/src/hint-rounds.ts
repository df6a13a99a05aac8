import { FIRST_CMD_ID, VIRTIO_BALLOON_CMD_ID_DONE, VIRTIO_BALLOON_CMD_ID_STOP } from './layout.ts';

/** Blocks after which the device stops every second round, to go on with another id. */
const CUT_AFTER = 4;

/**
 * The rounds of free page hints as a device asks for them (specification 1.4 section 5.5.6.4): a new command id, the
 * driver's hints, its STOP, DONE. Every second round the device stops the driver first and goes on with a new id, as
 * QEMU does between two passes of a migration.
 */
export class HintRounds {
  /** What `free_page_hint_cmd_id` has to be. */
  configured: number = VIRTIO_BALLOON_CMD_ID_STOP;
  /** Rounds that ended, and bytes that were hinted in all and count. */
  completed = 0;
  hintedBytes = 0;
  #id = FIRST_CMD_ID - 1;
  #started = 0;
  #blocks = 0;
  #isCut = false;
  #phase: 'idle' | 'asked' | 'running' | 'stopping' = 'idle';

  /** Whether a new round may be asked for. */
  get isIdle(): boolean {
    return this.#phase === 'idle';
  }

  /** Asks the driver for hints, under a new id. */
  ask(): void {
    if (this.#phase === 'idle') {
      this.#started++;
      this.#isCut = false;
    }
    this.#id = this.#id >= 0xffff_ffff ? FIRST_CMD_ID : this.#id + 1;
    this.#blocks = 0;
    this.configured = this.#id;
    this.#phase = 'asked';
  }

  /** The driver sent a command id. */
  command(id: number): void {
    if (id === this.#id && this.#phase === 'asked') this.#phase = 'running';
    // A stop of a round before this one is late, and says nothing.
    else if (id === VIRTIO_BALLOON_CMD_ID_STOP && this.#phase === 'running') this.#end();
    else if (id === VIRTIO_BALLOON_CMD_ID_STOP && this.#phase === 'stopping') this.ask();
  }

  /** The driver hinted a block. One that comes outside of the round does not count. */
  hint(bytes: number): void {
    if (this.#phase !== 'running') return;
    this.hintedBytes += bytes;
    if (this.#started % 2 === 1 || this.#isCut || ++this.#blocks < CUT_AFTER) return;
    this.#isCut = true;
    this.#phase = 'stopping';
    this.configured = VIRTIO_BALLOON_CMD_ID_STOP;
  }

  /** The queue was reset: what the driver had sent, or still had to send, is not known. */
  restart(): void {
    if (this.#phase !== 'idle') this.ask();
  }

  /** Forgets everything but the ids, none of which is to come twice. */
  reset(): void {
    this.#phase = 'idle';
    this.configured = VIRTIO_BALLOON_CMD_ID_STOP;
    this.completed = this.hintedBytes = this.#started = this.#blocks = 0;
  }

  #end(): void {
    this.completed++;
    this.#phase = 'idle';
    this.configured = VIRTIO_BALLOON_CMD_ID_DONE;
  }
}

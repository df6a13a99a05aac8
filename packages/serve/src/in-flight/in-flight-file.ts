import type { QueueLayout } from '@virtio-platform/core/queue';
import { MemoryFile } from '@virtio-platform/host';
import { inFlightQueueBytes, type InFlightDescription } from '@virtio-platform/vhost-user';
import { FrontEndViolation } from '../front-end-violation.ts';
import { FrontEndFile } from '../memory/front-end-file.ts';
import type { InFlightRecord } from './in-flight-record.ts';
import { PackedRecord } from './packed-record.ts';
import { RecordMemory } from './record-memory.ts';
import { SplitRecord } from './split-record.ts';

/** The records of all queues, in a file that the front-end keeps while this process may come and go. */
export class InFlightFile {
  readonly #file: FrontEndFile;
  readonly #description: InFlightDescription;

  /**
   * Maps the file of SET_INFLIGHT_FD, for a device of `queueCount` queues. Takes the descriptor over. Throws
   * {@link FrontEndViolation} and {@link HostError}.
   */
  constructor(description: InFlightDescription, descriptor: number, queueCount: number) {
    const { size, offset } = description;
    this.#file = new FrontEndFile({ size, offset }, descriptor, 'a record of what is in flight');
    this.#description = description;
    if (description.queueCount <= queueCount) return;
    this.dispose();
    throw new FrontEndViolation(
      `gives a record of what is in flight in ${description.queueCount} queues: the device has ${queueCount}`,
    );
  }

  /**
   * Makes a file for GET_INFLIGHT_FD. Gives it, and its bytes. Throws {@link FrontEndViolation} for more than the
   * device has, and {@link HostError}.
   */
  static create(
    layout: QueueLayout,
    { queueCount, queueSize }: { readonly queueCount: number; readonly queueSize: number },
    most: { readonly queueCount: number; readonly queueSize: number },
  ): MemoryFile {
    const isFit = queueCount >= 1 && queueCount <= most.queueCount && queueSize >= 1 && queueSize <= most.queueSize;
    if (isFit) return MemoryFile.create('in-flight', queueCount * inFlightQueueBytes(layout, queueSize));
    const limit = `the device has ${most.queueCount} of at most ${most.queueSize}`;
    throw new FrontEndViolation(`asks for a record of ${queueCount} queues of ${queueSize} entries: ${limit}`);
  }

  /**
   * The record of a queue of `size` entries; `undefined` for a queue that has none. Throws {@link FrontEndViolation}
   * for one that is shorter than the queue.
   */
  recordOf(index: number, layout: QueueLayout, size: number): InFlightRecord | undefined {
    const { queueCount, queueSize } = this.#description;
    if (index >= queueCount) return undefined;
    const what = `a record of what is in flight in queue ${index}`;
    if (queueSize < size) throw new FrontEndViolation(`gives ${what} with ${queueSize} entries, and the queue ${size}`);
    const bytes = inFlightQueueBytes(layout, queueSize);
    const start = index * bytes;
    if (start + bytes > this.#file.bytes.length) {
      const missing = `${this.#file.bytes.length} bytes, which end before byte ${start + bytes}`;
      throw new FrontEndViolation(`gives ${what} in ${missing}`);
    }
    const memory = new RecordMemory(this.#file.bytes.subarray(start, start + bytes), index);
    return layout === 'split' ? new SplitRecord(memory) : new PackedRecord(memory, queueSize);
  }

  dispose(): void {
    this.#file.dispose();
  }
}

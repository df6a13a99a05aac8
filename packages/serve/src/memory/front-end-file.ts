import { PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  closeDescriptor,
  inspectDescriptor,
  inspectFile,
  MemoryMapping,
  sealAgainstShrinking,
} from '@virtio-platform/host';
import type { SharedArea } from '@virtio-platform/vhost-user';
import { FrontEndViolation } from '../front-end-violation.ts';

/** More than any front-end needs: a log of 8 TiB of memory. */
const MOST_BYTES = 2 ** 28;
/** Where the bytes begin: a record consists of words of this size. */
const WORD_BYTES = 8;

/** A part of a file that the front-end gave for another purpose than to be guest memory, mapped. */
export class FrontEndFile {
  readonly bytes: Uint8Array;
  readonly #mapping: MemoryMapping;

  /**
   * Takes the descriptor over. `what` completes "gives ..." in messages. Throws {@link FrontEndViolation} for an area
   * that is not in the file, and {@link HostError}.
   */
  constructor({ size, offset }: SharedArea, descriptor: number, what: string) {
    try {
      const { kind, isReadable, isWritable } = inspectDescriptor(descriptor);
      if (kind !== 'file' || !isReadable || !isWritable)
        throw new FrontEndViolation(`gives ${what} by a descriptor that is no file that can be written to`);
      const file = inspectFile(descriptor);
      const end = offset + size;
      if (size === 0n || end > BigInt(file.size) || size > MOST_BYTES || offset % BigInt(WORD_BYTES) !== 0n) {
        const where = `from byte ${offset} of a file of ${file.size} bytes on`;
        throw new FrontEndViolation(`gives ${what} of ${size} bytes ${where}`);
      }
      sealAgainstShrinking(descriptor);
      const lead = Number(offset) % PAGE_SIZE;
      this.#mapping = MemoryMapping.ofFile(descriptor, lead + Number(size), Number(offset) - lead);
      this.bytes = new Uint8Array(this.#mapping.buffer, lead, Number(size));
    } finally {
      closeDescriptor(descriptor);
    }
  }

  dispose(): void {
    this.#mapping.dispose();
  }
}

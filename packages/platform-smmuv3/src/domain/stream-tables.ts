import { requesterName, RequesterTables, type AddressStep } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import {
  CD_AARCH64,
  CD_ABORT,
  CD_GRANULE_SHIFT,
  CD_MAIR_WORD,
  CD_NO_TTB1,
  CD_PRIVATE_ASID,
  CD_RECORD,
  CD_VALID,
  CD_WALKS_CACHED,
  CONFIG_BYPASS,
  CONFIG_STAGE_1,
  GRANULE_CODES,
  STREAM_CACHED,
  STREAM_CONFIG_SHIFT,
  STREAM_SHARE_INCOMING,
  STREAM_VALID,
  STREAM_WORDS,
  WRITE_BACK,
} from '../unit/table-format.ts';
import type { StreamTable } from '../unit/smmu-unit.ts';

const WORD = 0x1_0000_0000;
const ENTRY_BYTES = 4 * STREAM_WORDS;
/** A table of a page at least. */
const LEAST_BITS = 6;

/** What the context descriptor says of the translation tables. */
export interface StreamContext {
  /** Physical address of the translation table of the first level. */
  readonly table: number;
  readonly granule: number;
  /** Bits of an I/O virtual address. */
  readonly addressBits: number;
  /** Code of the width of physical addresses. */
  readonly outputCode: number;
  readonly asid: number;
}

/**
 * A linear stream table, and the context descriptor of the device. Entries of other StreamIDs are not valid, so other
 * devices behind this unit fault. Without a context the device bypasses translation.
 */
export class StreamTables extends RequesterTables implements StreamTable {
  readonly root: number;
  readonly bits: number;
  readonly #streamId: number;
  readonly #descriptor: number;
  readonly #context: StreamContext | undefined;

  /** Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, and then nothing is allocated. */
  constructor(memory: GuestMemory, streamId: number, context: StreamContext | undefined) {
    super(memory);
    this.#streamId = streamId;
    this.#context = context;
    this.bits = Math.max(LEAST_BITS, 32 - Math.clz32(streamId));
    this.root = this.allocate(ENTRY_BYTES * 2 ** this.bits);
    this.#descriptor = context === undefined ? 0 : this.allocate();
    if (context !== undefined) this.#writeDescriptor(context);
    const config = context === undefined ? CONFIG_BYPASS : CONFIG_STAGE_1;
    const pointer = this.pointer(this.#descriptor, (config << STREAM_CONFIG_SHIFT) | STREAM_VALID);
    const attributes = context === undefined ? 0 : STREAM_CACHED;
    this.write((this.root + streamId * ENTRY_BYTES) / 4, ...pointer, attributes, STREAM_SHARE_INCOMING);
  }

  get address(): number {
    return this.root;
  }

  walk(): readonly AddressStep[] {
    const name = requesterName(this.#streamId);
    const table = `stream table at ${hex(this.root)}`;
    if (this.#context === undefined) return [{ table, says: `${name} bypasses translation` }];
    const { asid, table: first } = this.#context;
    return [
      { table, says: `${name} has stage 1, by the context descriptor at ${hex(this.#descriptor)}` },
      { table: 'context descriptor', says: `ASID ${asid}, translation tables at ${hex(first)}` },
    ];
  }

  #writeDescriptor({ table, granule, addressBits, outputCode, asid }: StreamContext): void {
    const at = this.#descriptor / 4;
    const shape = (64 - addressBits) | (GRANULE_CODES.get(granule)! << CD_GRANULE_SHIFT);
    const rules = outputCode | CD_AARCH64 | CD_RECORD | CD_ABORT | CD_PRIVATE_ASID;
    this.write(at + CD_MAIR_WORD, WRITE_BACK);
    this.write(
      at,
      shape | CD_WALKS_CACHED | CD_NO_TTB1 | CD_VALID,
      rules | (asid << 16),
      table % WORD,
      Math.floor(table / WORD),
    );
  }
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}

import type { DataDifference } from '@virtio-platform/core';
import { fillPattern, findDifference, matchesPattern } from '@virtio-platform/device-kit';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { SenseCode } from '../scsi-sense.ts';
import { SENSE } from '../scsi-sense.ts';
import type { ScsiDiskSettings } from '../scsi-settings.ts';
import { unitKey } from '../scsi-lun.ts';

/** Cells of a disk that a workload uses: as many as it has, but no more than this, spread over all of it. */
const MOST_CELLS = 0x4000;

/** What a cell holds: what no request wrote, and no read gave. */
export const UNKNOWN = 0;
/** What a read gave, by its checksum. */
export const SEEN = 1;
/** A pattern of its own. */
export const WRITTEN = 2;
/** One logical block again and again. */
export const SAME = 3;
/** Zeros. */
export const ZERO = 4;
/** Unmapped, on a disk that does not say what unmapped blocks read as. */
export const UNMAPPED = 5;

/** How often in a row commands may be told of a reset, and resets may be told to none. */
const MOST_RESETS = 6;
const MOST_MISSED = 3;

/** What a workload knows of a logical unit: its state, and what is on it. A cell is what one request moves. */
export class UnitModel {
  readonly settings: ScsiDiskSettings;
  readonly key: number;
  readonly target: number;
  readonly lun: number;
  /** Bytes of a logical block. */
  readonly blockSize: number;
  /** Bytes of a cell: whole blocks. */
  readonly cellSize: number;
  /** Whether it is on the bus, as far as events said. */
  isPlugged: boolean;
  /** Whether its capacity changed, and was not read since, or an event that says so may be lost. */
  isChanging = false;
  /** Whether task management is in flight that may end its commands. */
  isManaged = false;
  /** Whether it was looked at since it was plugged in, and may be used. */
  isUsable = false;
  /** Whether the device does not tell by events what happens to it. */
  readonly isSilent: boolean;
  /** Whether the settings give it another capacity. */
  readonly isResized: boolean;
  /** Whether the settings say that it is unplugged or plugged in, or an event said so. */
  comesAndGoes: boolean;
  /** Whether unmapped blocks read as zeros (LBPRZ). */
  readsZeros = false;
  /** Whether the next command that is told of conditions has to be told of a reset. */
  owesAttention = false;
  /** Whether a command was told of a reset since the last reset was made. */
  wasTold = false;
  /** Whether the command in flight is the one that has to be told: no other may be told in its place. */
  isTelling = false;
  /** Commands in flight. */
  inFlight = 0;
  /** What INQUIRY gave, by page; -1 for standard data. */
  readonly inquiries: Map<number, Uint8Array> = new Map();
  /** Codes that commands were told: the last of them may be the data of REQUEST SENSE. */
  readonly told: Set<SenseCode> = new Set();
  readonly #seed: number;
  readonly #attentions = new Set<SenseCode>();
  /** How often commands may be told of a reset. */
  #resets = 0;
  #missed = 0;
  #blocks = 0;
  #kinds = new Uint8Array(0);
  #values = new Uint32Array(0);
  #busy = new Int32Array(0);
  #stride = 1;

  constructor(
    settings: ScsiDiskSettings,
    options: Pick<UnitModel, 'cellSize' | 'isSilent' | 'isResized' | 'comesAndGoes'> & { readonly seed: number },
  ) {
    const { cellSize, seed, isSilent, isResized, comesAndGoes } = options;
    this.comesAndGoes = comesAndGoes;
    this.isSilent = isSilent;
    this.isResized = isResized;
    this.settings = settings;
    this.target = settings.target;
    this.lun = settings.lun;
    this.key = unitKey(settings.target, settings.lun);
    this.blockSize = settings.blockSize;
    this.cellSize = cellSize;
    this.isPlugged = settings.plugged;
    this.#seed = (seed ^ Math.imul(this.key + 1, 0x9e37_79b1)) >>> 0;
  }

  /** Whether a command that is made now may end otherwise than it alone would. */
  get isUnsettled(): boolean {
    return this.isChanging || this.isManaged || this.isSilent;
  }

  /** Logical blocks, as READ CAPACITY gave them. */
  get blocks(): number {
    return this.#blocks;
  }

  /** The disk has so many blocks now: what is beyond is not known any more. */
  set blocks(blocks: number) {
    const whole = Math.floor((blocks * this.blockSize) / this.cellSize);
    if (this.#kinds.length === 0) {
      const cells = Math.min(MOST_CELLS, whole);
      this.#stride = Math.max(1, Math.floor(whole / Math.max(1, cells)));
      this.#kinds = new Uint8Array(cells);
      this.#values = new Uint32Array(cells);
      this.#busy = new Int32Array(cells);
    }
    const before = this.cells;
    this.#blocks = blocks;
    this.#kinds.fill(UNKNOWN, Math.min(before, this.cells));
  }

  /** What is on the disk is not known any more. */
  forget(): void {
    this.#kinds.fill(UNKNOWN);
  }

  /** Cells that the disk has. */
  get cells(): number {
    const whole = Math.floor((this.#blocks * this.blockSize) / this.cellSize);
    return Math.min(this.#kinds.length, Math.ceil(whole / this.#stride));
  }

  /** Logical blocks of a cell. */
  get cellBlocks(): number {
    return this.cellSize / this.blockSize;
  }

  /** The first logical block of a cell. */
  lbaOf(cell: number): number {
    return cell * this.#stride * this.cellBlocks;
  }

  /** Whether a read, or a request that changes the cell, may be made while what is in flight is. */
  isFree(cell: number, isRead: boolean): boolean {
    const busy = this.#busy[cell]!;
    return busy === 0 || (isRead && busy > 0);
  }

  /** A request of a cell is in flight. */
  begin(cell: number, isRead: boolean): void {
    this.#busy[cell] = isRead ? this.#busy[cell]! + 1 : -1;
  }

  /** A request of a cell is over. */
  end(cell: number, isRead: boolean): void {
    this.#busy[cell] = isRead ? this.#busy[cell]! - 1 : 0;
  }

  /** A cell holds something else. */
  set(cell: number, kind: number, value: number): void {
    this.#kinds[cell] = kind;
    this.#values[cell] = value;
  }

  /** Fills memory with the pattern of a cell: of all of it, or of one logical block. */
  fill({ u32 }: GuestMemory, address: number, bytes: number, cell: number, round: number): void {
    fillPattern(u32, address, bytes, this.#seed, cell, round);
  }

  /** Compares what a read of a cell gave with what the cell holds. */
  compare(memory: GuestMemory, address: number, cell: number): DataDifference | undefined {
    const [kind, value] = [this.#kinds[cell]!, this.#values[cell]!];
    const { cellSize, blockSize } = this;
    const { u32 } = memory;
    if (kind === WRITTEN) {
      if (matchesPattern(u32, address, cellSize, this.#seed, cell, value)) return undefined;
      return this.#find(memory, address, cellSize, cell, value);
    }
    if (kind === SAME) {
      for (let at = 0; at < cellSize; at += blockSize)
        if (!matchesPattern(u32, address + at, blockSize, this.#seed, cell, value))
          return this.#find(memory, address, blockSize, cell, value);
      return undefined;
    }
    if (kind === ZERO) return this.#differenceIn(memory, address, new Uint8Array(cellSize));
    if (kind === UNMAPPED) return undefined;
    const sum = checksumOf(u32, address, cellSize);
    if (kind === UNKNOWN) this.set(cell, SEEN, sum);
    // Which byte differs is not known.
    return kind === UNKNOWN || sum === value ? undefined : { offset: 0, expected: value & 0xff, actual: sum & 0xff };
  }

  /** Unit attentions that the next commands may be told. */
  expect(attention: SenseCode): void {
    if (attention >> 8 === SENSE.RESET >> 8) this.#resets = Math.min(this.#resets + 2, MOST_RESETS);
    else this.#attentions.add(attention);
  }

  /** Whether a command may be told an attention, which it is then told no more. */
  takeAttention(attention: SenseCode): boolean {
    if (this.isSilent) return true;
    if (attention >> 8 !== SENSE.RESET >> 8) return this.#attentions.delete(attention);
    // A reset may be told in any of its forms, and again where it is followed by another one.
    this.forgiveAttention();
    this.#missed = 0;
    if (this.#resets === 0) return false;
    this.#resets--;
    return true;
  }

  /**
   * A command was not told of a reset, and no other one was in flight. Returns whether that is so each time: a command
   * that is cancelled takes an attention with it.
   */
  missAttention(): boolean {
    this.owesAttention = false;
    return ++this.#missed >= MOST_MISSED;
  }

  /** An attention may have been told, or not: a command may be told it, and none has to be. */
  forgiveAttention(): void {
    this.owesAttention = false;
    this.wasTold = true;
  }

  #find(memory: GuestMemory, address: number, period: number, cell: number, round: number): DataDifference {
    const words = new Uint32Array(period / 4);
    fillPattern(words, 0, period, this.#seed, cell, round);
    const once = new Uint8Array(words.buffer);
    const expected = Uint8Array.from({ length: this.cellSize }, (_, at) => once[at % period]!);
    return this.#differenceIn(memory, address, expected)!;
  }

  #differenceIn(memory: GuestMemory, address: number, expected: Uint8Array): DataDifference | undefined {
    return findDifference(expected, memory.u8.subarray(address, address + this.cellSize));
  }
}

/** A checksum of 32 bits (FNV-1a over words). */
function checksumOf(words: Uint32Array, address: number, length: number): number {
  let sum = 0x811c_9dc5;
  for (let i = address / 4, end = (address + length) / 4; i < end; i++) sum = Math.imul(sum ^ words[i]!, 0x0100_0193);
  return sum >>> 0;
}

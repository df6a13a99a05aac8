import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { SCALABLE_CONTEXT_WORDS, SCALABLE_MODE, TABLE_MODE_MASK } from '../unit/scalable-format.ts';
import type { VtdFacility } from '../unit/vtd-facility.ts';
import { CONTEXT_WORDS, PRESENT, RTADDR_REG } from '../unit/vtd-registers.ts';

const WORD = 0x1_0000_0000;
const BUSES = 256;
const PAGE_WORDS = PAGE_SIZE / 4;
const ADDRESS_HIGH_MASK = 0x000f_ffff;
const DOMAIN_SHIFT = 8;
const DOMAIN_MASK = 0xffff;

/** The contexts of one bus, or in scalable mode of half of its functions, as they are in memory. */
export interface FormerContexts {
  /** 32-bit words from the start of the root table to the pointer of these contexts. */
  readonly rootWord: number;
  /** A page: those that are present, and zeros. */
  readonly words: Uint32Array;
}

/**
 * The tables that a running unit uses, which another kernel wrote: root and contexts, read out of guest memory (Linux
 * `copy_translation_tables`). What cannot be read is left out. The page tables behind them stay where they are.
 */
export class FormerTables {
  readonly isScalable: boolean;
  readonly contexts: readonly FormerContexts[];
  /** Domain ids that the contexts name: the unit may have translations of them cached. */
  readonly domains: ReadonlySet<number>;

  private constructor(isScalable: boolean, contexts: readonly FormerContexts[], domains: ReadonlySet<number>) {
    this.isScalable = isScalable;
    this.contexts = contexts;
    this.domains = domains;
  }

  /** Reads the tables at the root table register; `undefined` where there is no root table in memory. */
  static read(memory: GuestMemory, facility: VtdFacility): FormerTables | undefined {
    const register = new Uint32Array(2);
    facility.read64(RTADDR_REG, register);
    const isScalable = (register[0]! & TABLE_MODE_MASK) === SCALABLE_MODE;
    const root = addressOf(register[0]!, register[1]!);
    if (root === 0 || !memory.contains(root, PAGE_SIZE)) return undefined;
    const entryWords = isScalable ? SCALABLE_CONTEXT_WORDS : CONTEXT_WORDS;
    const contexts: FormerContexts[] = [];
    const domains = new Set<number>();
    for (let half = 0; half < (isScalable ? 2 : 1) * BUSES; half++) {
      const rootWord = isScalable ? 2 * half : half * CONTEXT_WORDS;
      const table = pointed(memory, root / 4 + rootWord);
      if (table === undefined) continue;
      const words = new Uint32Array(PAGE_WORDS);
      for (let at = 0; at < PAGE_WORDS; at += entryWords) {
        const from = table / 4 + at;
        if ((memory.u32[from]! & PRESENT) === 0) continue;
        words.set(memory.u32.subarray(from, from + entryWords), at);
        const domain = isScalable ? scalableDomain(memory, from) : (words[at + 2]! >>> DOMAIN_SHIFT) & DOMAIN_MASK;
        if (domain !== undefined) domains.add(domain);
      }
      contexts.push({ rootWord, words });
    }
    return new FormerTables(isScalable, contexts, domains);
  }
}

/** The domain of requests without a PASID: that of the first PASID entry behind a context. */
function scalableDomain(memory: GuestMemory, context: number): number | undefined {
  const directory = pointed(memory, context);
  const pasids = directory === undefined ? undefined : pointed(memory, directory / 4);
  if (pasids === undefined || (memory.u32[pasids / 4]! & PRESENT) === 0) return undefined;
  return memory.u32[pasids / 4 + 2]! & DOMAIN_MASK;
}

/** The page that the entry at a word of memory points at, where it is present and the page is in memory. */
function pointed(memory: GuestMemory, word: number): number | undefined {
  const low = memory.u32[word]!;
  const address = addressOf(low, memory.u32[word + 1]!);
  return (low & PRESENT) !== 0 && memory.contains(address, PAGE_SIZE) ? address : undefined;
}

/** The address of a page in the two words of a register or an entry. */
export function addressOf(low: number, high: number): number {
  return (high & ADDRESS_HIGH_MASK) * WORD + ((low & -PAGE_SIZE) >>> 0);
}

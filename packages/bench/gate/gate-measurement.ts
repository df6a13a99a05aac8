import { benchParts, C_CHECKED, CReference, measureSubject, OURS, type BenchCase } from '@virtio-platform/bench';
import { pinnableCores } from '../src/processes/pinned-core.ts';
import { GATE_ENDS, type GateEnd, type GateLimits } from './gate-limits.ts';

/** Short samples: between two of them something else can have the core. */
const SETTINGS = { processes: 1, requests: 20_000, samples: 40, seconds: 0, raisesBudget: true };

/** The best that was seen of a case, so far. Nanoseconds per request. */
interface Best {
  readonly end: GateEnd;
  readonly one: BenchCase;
  ours: number;
  inC: number;
  bytes: number;
}

/** What an end came to. */
export interface GateFigure {
  readonly end: GateEnd;
  /** Geometric means over requests of one and of three descriptors. */
  readonly ratio: number;
  readonly ours: number;
  /** The most of both. */
  readonly bytes: number;
}

/**
 * The best figures of each end and of its reference in C, over turns: in each turn a process of each, one after the
 * other, on the same core. A turn can only make them better, so that what else the machine does ends no gate, and a
 * ring that is slow stays slow however many turns there are.
 */
export class GateMeasurement {
  readonly #reference: CReference;
  readonly #worker: string | undefined;
  readonly #cores = pinnableCores();
  readonly #bests: readonly Best[];
  #turns = 0;

  /** `worker` is the program that measures ours, if not the one that is built here. */
  constructor(reference: CReference, worker?: string) {
    this.#reference = reference;
    this.#worker = worker;
    const cases = benchParts().flatMap((part) => (part.name === 'ends' ? part.cases : []));
    this.#bests = GATE_ENDS.flatMap((end) =>
      cases
        .filter(({ id, axes }) => id.startsWith(`ends/${end}/`) && axes['batch'] === 32)
        .map((one) => ({ end, one, ours: Infinity, inC: Infinity, bytes: Infinity })),
    );
  }

  /** The turns that were taken. */
  get turns(): number {
    return this.#turns;
  }

  /** What the ends came to in the turns so far. */
  get figures(): readonly GateFigure[] {
    return GATE_ENDS.map((end) => {
      const bests = this.#bests.filter((best) => best.end === end);
      const mean = (value: (best: Best) => number): number =>
        bests.reduce((product, best) => product * value(best), 1) ** (1 / bests.length);
      return {
        end,
        ratio: mean(({ ours, inC }) => ours / inC),
        ours: mean(({ ours }) => ours),
        bytes: Math.max(...bests.map(({ bytes }) => bytes)),
      };
    });
  }

  /** Takes a turn. Rejects with `ERR_BENCH_PROCESS`. */
  async turn(): Promise<void> {
    const cores = this.#cores;
    const place = { core: cores[this.#turns++ % Math.max(1, cores.length)], worker: this.#worker };
    for (const best of this.#bests) {
      for (const subject of best.one.subjects) {
        if (subject.name !== OURS && subject.name !== C_CHECKED) continue;
        const sample = await measureSubject(subject, SETTINGS, this.#reference, place);
        if (sample === undefined) continue;
        if (subject.name === OURS) {
          best.ours = Math.min(best.ours, sample.best);
          best.bytes = Math.min(best.bytes, sample.bytesPerRequest ?? Infinity);
        } else best.inC = Math.min(best.inC, sample.best);
      }
    }
  }
}

/** The ends that are above a limit, one line each. */
export function aboveLimits(figures: readonly GateFigure[], { ratios, room, bytes }: GateLimits): readonly string[] {
  return figures.flatMap((figure) => {
    const most = ratios[figure.end] * room;
    const { end, ratio } = figure;
    const slow = ratio > most ? [`${end}: ${ratio.toFixed(2)} times C, and at most ${most.toFixed(2)} is allowed`] : [];
    const allocates = figure.bytes > bytes ? [`${end}: ${figure.bytes.toFixed(2)} bytes of heap a request`] : [];
    return [...slow, ...allocates];
  });
}

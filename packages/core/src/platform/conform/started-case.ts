import { BOTH_LAYOUTS, caseGroup, openedBy, type CaseGroup, type OpenedCase } from './case-group.ts';
import type { ConformBench, StartOptions } from './conform-bench.ts';
import type { ConformCase } from './conform-case.ts';
import type { ConformRing } from './conform-ring.ts';

/** A case on a device that was started, and the ring of its first queue. */
export interface StartedCase extends OpenedCase<ConformRing> {
  /** Default: as {@link ConformBench.start} does without options. */
  readonly start?: StartOptions;
}

/** Makes a case that starts the device first. */
export function startedCase({ start, ...rest }: StartedCase): ConformCase {
  return openedBy((bench: ConformBench) => bench.start(start))(rest);
}

/** Cases that start the device first, with what they share. */
export const startedCases: CaseGroup<StartedCase, ConformCase> = caseGroup(startedCase);

/** Makes a case that begins with a device that was reset. */
export const bareCase: (template: OpenedCase<void>) => ConformCase = openedBy(() => {});

/** Cases that begin with a device that was reset, with what they share. */
export const bareCases: CaseGroup<OpenedCase<void>, ConformCase> = caseGroup(bareCase);

/** A device type whose driver breaks rules. */
export interface MisusedType {
  /** The first part of the ids: `entropy`. */
  readonly type: string;
  readonly clause: string;
  /** Starts the device. Default: as {@link ConformBench.start} does without options. */
  readonly start?: (bench: ConformBench) => Promise<unknown>;
}

/** Makes a hostile case, of what the device survives: `a buffer without room`. */
export type MisuseCase = (
  id: string,
  title: string,
  misuse: (bench: ConformBench) => void | Promise<void>,
) => ConformCase;

/** Makes cases in which the device is started, serves a request, and then meets what no driver may do. */
export function misuseOf({ type, clause, start = (bench) => bench.start() }: MisusedType): MisuseCase {
  return (id, title, misuse) => ({
    id: `${type}/hostile-${id}`,
    clause,
    level: 'MUST',
    title: `survives ${title}`,
    layouts: BOTH_LAYOUTS,
    isHostile: true,
    run: async (bench) => {
      await start(bench);
      await bench.serve(bench.layOut(0));
      await misuse(bench);
      await bench.settle();
    },
  });
}

import type { QueueLayout } from '../../queue/ring/ring-format.ts';
import type { ConformBench } from './conform-bench.ts';
import type { ConformCase } from './conform-case.ts';

/** Both layouts, for `ConformCase.layouts`. */
export const BOTH_LAYOUTS: readonly QueueLayout[] = ['split', 'packed'];

/** A case that runs on what is opened for it: a ring, a disk, a port. */
export interface OpenedCase<Opened> extends Omit<ConformCase, 'level' | 'run'> {
  /** Default: MUST. */
  readonly level?: ConformCase['level'];
  readonly run: (bench: ConformBench, opened: Opened) => void | Promise<void>;
}

/** Makes cases that begin with `open`. */
export function openedBy<Opened>(
  open: (bench: ConformBench) => Opened | Promise<Opened>,
): (template: OpenedCase<Opened>) => ConformCase {
  return ({ run, ...rest }) => ({
    level: 'MUST',
    ...rest,
    run: async (bench) => run(bench, await open(bench)),
  });
}

/** What a case says where its group says `Common` for it; it may say something else of the same kind. */
export type CaseOfGroup<Template, Common> = Omit<Template, keyof Common> &
  Partial<Pick<Template, keyof Template & keyof Common>>;

/** Makes the cases of a group: `common` is what they share, each case says what differs. */
export type CaseGroup<Template, Case> = <Common extends Partial<Template>>(
  common: Common & Readonly<Record<Exclude<keyof Common, keyof Template>, never>>,
  cases: readonly CaseOfGroup<Template, Common>[],
) => readonly Case[];

/** Groups of cases that `make` makes one by one, so that what cases share is written once: a clause, layouts, needs. */
export function caseGroup<Template, Case>(make: (template: Template) => Case): CaseGroup<Template, Case> {
  return (common, cases) =>
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- together they have what a template has
    cases.map((each) => make({ ...common, ...each } as Template));
}

import {
  caseGroup,
  openedBy,
  type CaseGroup,
  type ConformBench,
  type ConformCase,
  type ConformRing,
  type OpenedCase,
  type StartOptions,
} from '@virtio-platform/core';

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

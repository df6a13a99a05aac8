import { caseGroup, type CaseGroup, type CaseNeed, type ConformCase, offersFeature } from '@virtio-platform/core';
import { NET_FEATURES } from '../net-features.ts';
import { NetPort, type PortOptions } from './net-port.ts';

/** The device offers a feature of network devices. */
export function offersNet(bit: number): CaseNeed {
  return offersFeature(bit, NET_FEATURES);
}

/** A case on a device that was started, with features of which each is needed. */
export interface NetTemplate extends Omit<ConformCase, 'run' | 'level' | 'needs'> {
  readonly level?: ConformCase['level'];
  /** Features of network devices that have to be offered. */
  readonly features?: readonly number[];
  readonly needs?: readonly CaseNeed[];
  /** Whether frames have to come back. Default: true. */
  readonly isLooped?: boolean;
  readonly start?: PortOptions | undefined;
  readonly run: (port: NetPort) => void | Promise<void>;
}

/** Makes the case. */
export function netCase({ features = [], needs = [], isLooped = true, start, run, ...rest }: NetTemplate): ConformCase {
  return {
    level: 'MUST',
    ...rest,
    needs: [...needs, ...features.map(offersNet)],
    run: async (bench) => {
      if (isLooped) NetPort.needLoop(bench);
      await run(await NetPort.start(bench, start));
    },
  };
}

/** Cases with what they share. */
export const netCases: CaseGroup<NetTemplate, ConformCase> = caseGroup(netCase);

import type { EventKind } from '@virtio-platform/trace';
import { regionName } from '../state/region-names.ts';
import type { Step, Walk } from '../walk.ts';
import { tellAccess, tellConfigChange, tellFault, tellFlush, tellInterrupt, tellPop, tellPush } from './tell-device.ts';
import {
  tellAdd,
  tellBroken,
  tellEnable,
  tellEnableQueue,
  tellNotify,
  tellPublish,
  tellTakeBack,
  tellTakeUsed,
  tellWait,
} from './tell-driver.ts';
import {
  tellCoherent,
  tellIotlb,
  tellMap,
  tellPool,
  tellPremap,
  tellRelease,
  tellSync,
  tellUnmap,
} from './tell-mapping.ts';
import {
  tellConfig,
  tellFailure,
  tellFeatures,
  tellNegotiation,
  tellResetQueue,
  tellStatus,
  tellWords,
} from './tell-run.ts';
import { Telling, type Told } from './telling.ts';

/** What an event of each kind says: what happens, and why it matters. */
const STEP_TEXTS: Readonly<Record<EventKind, (told: Telling, region: string | undefined) => Told>> = {
  status: tellStatus,
  features: tellFeatures,
  negotiation: tellNegotiation,
  configRead: tellConfig,
  configWrite: tellConfig,
  configChange: tellConfigChange,
  coherent: tellCoherent,
  premap: tellPremap,
  map: tellMap,
  unmap: tellUnmap,
  release: tellRelease,
  syncForCpu: tellSync,
  syncForDevice: tellSync,
  enableQueue: tellEnableQueue,
  resetQueue: tellResetQueue,
  add: tellAdd,
  publish: tellPublish,
  notify: tellNotify,
  enableNotifications: tellEnable,
  wait: tellWait,
  takeUsed: tellTakeUsed,
  takeBack: tellTakeBack,
  broken: tellBroken,
  pop: tellPop,
  push: tellPush,
  flush: tellFlush,
  read: tellAccess,
  write: tellAccess,
  borrow: tellAccess,
  interrupt: tellInterrupt,
  fault: tellFault,
  iotlbMiss: tellIotlb,
  iotlbUpdate: tellIotlb,
  iotlbInvalidate: tellIotlb,
  pool: tellPool,
  plugin: tellWords('A plugin'),
  finding: tellWords('The DMA sanitizer finds'),
  mismatch: tellWords('The data is not what was expected'),
  failure: tellFailure,
  external: tellWords('The other program says'),
};

/** Tells what happens at a step. */
export function tellStep({ recording }: Walk, step: Step): Told {
  const told = new Telling(recording, step);
  return STEP_TEXTS[step.event.kind](told, regionName(recording, step.event.address));
}

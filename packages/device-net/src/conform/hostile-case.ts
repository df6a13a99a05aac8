import { BOTH_LAYOUTS, caseGroup, type CaseGroup, type ConformCase } from '@virtio-platform/core';
import { netCase, type NetTemplate } from './net-case.ts';

/** A case in which the driver breaks a rule of network devices, on a device that sent one frame before. */
export function hostileCase(template: NetTemplate): ConformCase {
  return netCase({
    layouts: BOTH_LAYOUTS,
    isLooped: false,
    isHostile: true,
    ...template,
    run: async (port) => {
      await port.send(port.frame());
      await template.run(port);
    },
  });
}

/** Cases in which the driver breaks a rule, with what they share. */
export const hostileCases: CaseGroup<NetTemplate, ConformCase> = caseGroup(hostileCase);

import type { ConformCase } from '@virtio-platform/core';
import { BOTH, netCase, type NetTemplate } from './net-case.ts';

/** A case in which the driver breaks a rule of network devices, on a device that sent one frame before. */
export function hostileCase(
  template: Pick<NetTemplate, 'id' | 'title' | 'clause' | 'run'> & Partial<NetTemplate>,
): ConformCase {
  return netCase({
    layouts: BOTH,
    isLooped: false,
    isHostile: true,
    ...template,
    run: async (port) => {
      await port.send(port.frame());
      await template.run(port);
    },
  });
}

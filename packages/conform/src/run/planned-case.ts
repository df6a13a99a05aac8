import type { ConformCase, OfferedDevice } from '@virtio-platform/core';
import { VIRTIO_F_RING_PACKED } from '@virtio-platform/core/features';
import type { QueueLayout } from '@virtio-platform/core/queue';

/** A case on one layout, with the id that it has there. */
export interface PlannedCase<Case = ConformCase> {
  readonly id: string;
  readonly conformCase: Case;
  readonly layout: QueueLayout;
}

/** The cases, each on every layout of its own: `ring/used-length` on two is `ring/used-length/split` and `/packed`. */
export function planCases<Case extends Pick<ConformCase, 'id' | 'layouts'>>(
  cases: readonly Case[],
): readonly PlannedCase<Case>[] {
  return cases.flatMap((conformCase) => {
    const { id, layouts = ['split'] } = conformCase;
    const isOne = layouts.length === 1;
    return layouts.map((layout) => ({ id: isOne ? id : `${id}/${layout}`, conformCase, layout }));
  });
}

/** Why a case does not apply to a device; `undefined` where it does. */
export function inapplicable({ conformCase, layout }: PlannedCase, device: OfferedDevice): string | undefined {
  if (layout === 'packed' && !device.acceptable.has(VIRTIO_F_RING_PACKED)) return 'the device offers no packed rings';
  for (const need of conformCase.needs ?? []) {
    const why = need(device);
    if (why !== undefined) return why;
  }
  return undefined;
}

/** Whether an id matches a filter: a part of it, or with `*` the whole of it. */
export function matchesFilter(id: string, filter: string): boolean {
  if (!filter.includes('*')) return id.includes(filter);
  const pattern = filter.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${pattern.join('.*')}$`).test(id);
}

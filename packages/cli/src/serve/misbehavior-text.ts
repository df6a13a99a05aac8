import type { ServeEvent } from '@virtio-platform/serve';

/** What a device that is served did on purpose, with the key of the profile. */
export function misbehaviorText({ way, queue, buffer, count }: ServeEvent & { kind: 'misbehaved' }): string {
  const what = buffer === undefined ? `a notification of queue ${queue}` : `buffer ${buffer} of queue ${queue}`;
  return `${what}: device.misbehaves.${way}${count === 1 ? '' : `, ${count} times so far`}`;
}

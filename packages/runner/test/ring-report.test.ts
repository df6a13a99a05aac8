import { RingPair } from '@virtio-platform/conformance/testing';
import { ScatterList } from '@virtio-platform/core/queue';
import { describeRing, explainStall, inspectRings } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';

const BUFFERS = 100;

describe.each(['split', 'packed'] as const)('the report of a %s ring', (layout) => {
  /** A ring whose device has {@link BUFFERS} buffers, and returned those of `used` before. */
  function ring(): RingPair {
    const pair = new RingPair({ size: 128, layout });
    const list = new ScatterList(1);
    list.addWritable(0x8000, 16);
    for (let i = 0; i < BUFFERS; i++) pair.queue.add(list);
    pair.queue.publish();
    return pair;
  }

  it('counts all buffers of the device and lists the oldest 64', () => {
    const [report] = inspectRings([ring().queue]);
    expect([report!.outstandingCount, report!.outstanding.length]).toEqual([BUFFERS, 64]);
    expect(describeRing(report!)).toMatch(/; 100 with the device: buffers 0, 1, 2, 3, 4, 5, 6, 7 …$/);
  });

  it('says of a device that used nothing that it used nothing, however many buffers it has', () => {
    expect(explainStall(inspectRings([ring().queue]))).toMatch(
      /^the device was notified of queue 0 and used no buffer/,
    );
  });
});

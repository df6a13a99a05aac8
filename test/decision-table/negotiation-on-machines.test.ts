import { shippedPlatforms } from '@virtio-platform/cli';
import { DeviceStatus } from '@virtio-platform/core/device';
import { featureBit, FeatureSet } from '@virtio-platform/core/features';
import { composeRun, loadProfiles, type Offer, type Profile } from '@virtio-platform/profile';
import { DEFAULT_OFFERS, negotiationMatrix, RunSession } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';

/** One run of each platform, with everything that is in dispute turned on. */
const profiles = (await Promise.all(shippedPlatforms().map((file) => loadProfiles(file)))).map(([first]): Profile => ({
  ...first!,
  policy: { ...first!.policy, experimental: true },
}));
const offers = DEFAULT_OFFERS.filter((offer) => offer.interface === 'modern');

function offering(profile: Profile, { features }: Offer): Profile {
  const bits = features.flatMap((name) => featureBit(name, profile.device.type.features) ?? []);
  return { ...profile, device: { ...profile.device, offers: FeatureSet.of(...bits) } };
}

describe.each(profiles.map((profile) => [profile.name, profile] as const))('on %s', (_name, profile) => {
  it('P4, P12: every offer comes out as the matrix says, leaves nothing when refused, and the same after a reset', async () => {
    const [row] = await negotiationMatrix([profile], offers);
    for (const [i, offer] of offers.entries()) {
      const cell = row!.cells[i]!;
      const run = await composeRun(offering(profile, offer));
      try {
        const session = new RunSession(run);
        const { negotiation } = session;
        expect([offer.name, negotiation.path ?? null]).toEqual([offer.name, cell.path]);
        const { refusal } = negotiation;
        const inCell = cell.refusal && { ...cell.refusal, ...(cell.option !== null && { option: cell.option }) };
        expect(refusal ?? null).toEqual(inCell);
        const isFailed = (run.machine.transport.readStatus() & DeviceStatus.Failed) !== 0;
        expect([offer.name, isFailed]).toEqual([offer.name, cell.outcome === 'refused']);
        expect(session.dma).toEqual({ maps: 0, unmaps: 0, bytesBounced: 0, live: 0, leaked: 0 });
        expect(run.machine.faults.count).toBe(0);
        session.end();
        expect(new RunSession(run).negotiation).toEqual(negotiation);
      } finally {
        await run.dispose();
      }
    }
  });
});

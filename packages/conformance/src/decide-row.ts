import { featureBit, FeatureSet, transportCarries } from '@virtio-platform/core/features';
import {
  DEFAULT_POLICY,
  negotiate,
  type NegotiationInput,
  type PlatformTraits,
} from '@virtio-platform/core/negotiation';
import type { DecisionOutcome, DecisionPlatform, DecisionRow } from './decision-table.ts';

const EVERYTHING = new FeatureSet((1n << 128n) - 1n);

/** What negotiation is told in a row's case: a driver that knows every feature but those it lacks. */
export function rowInput(row: DecisionRow, platform: DecisionPlatform): NegotiationInput {
  const type = row.deviceType ?? 'block';
  const features = (names: readonly string[] = []): FeatureSet =>
    FeatureSet.of(...names.map((name) => knownBit(name, type, row.id)));
  const isLegacy = row.interface === 'legacy';
  return {
    deviceType: type,
    interface: isLegacy ? 'legacy' : 'modern',
    offered: features(row.offered),
    supported: EVERYTHING.minus(features(row.driver?.lacks)),
    carries: transportCarries(isLegacy ? 'legacy' : (row.transport ?? 'pci')),
    traits: platformTraits(platform),
    privilege: row.privilege ?? 'kernel',
    policy: { ...DEFAULT_POLICY, ...row.policy },
    clears: features(row.driver?.clears),
    addressBits: row.addressBits,
  };
}

/** A platform of the table as negotiation sees it. */
export function platformTraits({ is, traits }: DecisionPlatform): PlatformTraits {
  return { identityVerified: undefined, ...traits, addressMeaning: is };
}

/** Decides a row's case by the core's rules alone. */
export function decideRow(row: DecisionRow, platform: DecisionPlatform): DecisionOutcome {
  const input = rowInput(row, platform);
  const { refusal, accepted, path } = negotiate(input, []);
  if (refusal !== undefined) return { refused: refusal.code, rule: refusal.rule };
  return { accepted: accepted.names(input.deviceType).toSorted(), path: path ?? 'none' };
}

/** Says where an outcome differs from what a row wants, in one sentence; `undefined` where it does not. */
export function outcomeDifference(
  wanted: Readonly<Record<string, unknown>>,
  was: Readonly<Record<string, unknown>>,
): string | undefined {
  const [expected, seen] = [canonical(wanted), canonical(was)];
  return expected === seen ? undefined : `expected ${expected}, was ${seen}`;
}

/** Features are a set: their order says nothing. */
function canonical(outcome: Readonly<Record<string, unknown>>): string {
  const { accepted, ...rest } = outcome;
  const sorted = Object.entries(rest).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const features = Array.isArray(accepted) ? [['accepted', accepted.map(String).toSorted()]] : [];
  return JSON.stringify([...features, ...sorted]);
}

function knownBit(name: string, deviceType: string, row: string): number {
  const bit = featureBit(name, deviceType);
  if (bit === undefined) throw new RangeError(`row ${row}: ${name} is no feature of a ${deviceType} device`);
  return bit;
}

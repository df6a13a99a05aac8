import type { DeviceTypePlugin } from '@virtio-platform/core';
import { z } from 'zod';
import { featureList } from './schema/device-vocabulary.ts';
import { ProfileError, type ProfileIssue } from './source/profile-issue.ts';
import { readSources } from './source/read-sources.ts';
import { nodeAt, placeOf, plainValue, type MapNode, type SourceNode } from './source/source-node.ts';
import { translateIssues } from './source/translate-issues.ts';

/** What a device could offer, by a name of its own. */
export interface Offer {
  readonly name: string;
  readonly interface: 'modern' | 'legacy';
  /** Feature names as profiles write them. */
  readonly features: readonly string[];
}

/** The schemas of an offer: a list of features, or a map. */
function offerSchemas(types: readonly DeviceTypePlugin[]) {
  const features = featureList('What the device offers.', { type: undefined, others: types });
  const offer = z.strictObject({ interface: z.enum(['modern', 'legacy']).default('modern'), features });
  return { features, offer };
}

/**
 * Loads a file of offers, whose features may be those of `types`: a map of names to lists of features, or to
 * `{ interface, features }`. Throws {@link ProfileError} with everything that is wrong, at its place.
 */
export async function loadOffers(file: string, types: readonly DeviceTypePlugin[]): Promise<readonly Offer[]> {
  const { root, issues } = await readSources({ kind: 'file', file });
  if (root === undefined || issues.length > 0) throw new ProfileError([...issues]);
  const wrong: ProfileIssue[] = [];
  const schemas = offerSchemas(types);
  const offers = Array.from(root.entries, ([name, { value }]) => readOffer(root, name, value, schemas, wrong));
  if (wrong.length > 0) throw new ProfileError(wrong);
  return offers.flatMap((read) => read ?? []);
}

function readOffer(
  root: MapNode,
  name: string,
  node: SourceNode,
  { features, offer }: ReturnType<typeof offerSchemas>,
  wrong: ProfileIssue[],
): Offer | undefined {
  const value = plainValue(node);
  const result = node.kind === 'map' ? offer.safeParse(value) : features.safeParse(value);
  if (result.success) {
    const { data } = result;
    return 'features' in data ? { name, ...data } : { name, interface: 'modern', features: data };
  }
  const source = {
    prefix: [name],
    valueAt: (path: readonly PropertyKey[]): unknown => {
      const below = nodeAt(node, path);
      return below && plainValue(below);
    },
    placeOf: (path: readonly PropertyKey[], part: 'value' | 'key') => placeOf(root, [name, ...path], part),
    knownKeys: () => Object.keys(offer.shape),
  };
  wrong.push(...translateIssues(result.error.issues, source, 'ERR_PROFILE_INVALID').map(({ issue }) => issue));
  return undefined;
}

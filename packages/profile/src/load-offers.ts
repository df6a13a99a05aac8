import { z } from 'zod';
import { featureList } from './profile-schema.ts';
import { ProfileError } from './profile-error.ts';
import { readSources } from './read-sources.ts';
import { nodeAt, placeOf, plainMap, plainValue } from './source-node.ts';
import { translateIssues } from './translate-issues.ts';

/** What a device could offer, by a name of its own. */
export interface Offer {
  readonly name: string;
  readonly interface: 'modern' | 'legacy';
  /** Feature names as profiles write them. */
  readonly features: readonly string[];
}

const features = featureList('What the device offers.');
const schema = z.record(
  z.string().min(1).max(60),
  z.union([features, z.strictObject({ interface: z.enum(['modern', 'legacy']).default('modern'), features })]),
);

/**
 * Loads a file of offers: a map of names to lists of features, or to `{ interface, features }`. Throws {@link ProfileError} with
 * everything that is wrong, at its place.
 */
export async function loadOffers(file: string): Promise<readonly Offer[]> {
  const { root, issues } = await readSources(file);
  if (root === undefined || issues.length > 0) throw new ProfileError([...issues]);
  const result = schema.safeParse(plainMap(root));
  if (!result.success) {
    const source = {
      prefix: [],
      valueAt: (path: readonly PropertyKey[]): unknown => {
        const node = nodeAt(root, path);
        return node && plainValue(node);
      },
      placeOf: (path: readonly PropertyKey[], part: 'value' | 'key') => placeOf(root, path, part),
      knownKeys: () => ['interface', 'features'],
    };
    throw new ProfileError(
      translateIssues(result.error.issues, source, 'ERR_PROFILE_INVALID').map(({ issue }) => issue),
    );
  }
  return Object.entries(result.data).map(([name, offer]) =>
    Array.isArray(offer) ? { name, interface: 'modern', features: offer } : { name, ...offer },
  );
}

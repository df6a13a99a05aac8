import { readdirSync, readFileSync } from 'node:fs';
import {
  featureBit,
  FeatureSet,
  NO_DEVICE_FEATURES,
  transportCarries,
  type FeatureTable,
  type TransportKind,
} from '@virtio-platform/core/features';
import {
  DEFAULT_POLICY,
  negotiate,
  type DriverPrivilege,
  type NegotiationPolicy,
  type ReferenceName,
  type PlatformTraits,
  type NegotiationInput,
} from '@virtio-platform/core/negotiation';
import { BLOCK_FEATURES } from '@virtio-platform/device-block';
/**
 * How far a statement of the table is backed: read in its source, inferred from it, proposed and never merged, or our
 * own choice.
 */
export type Backing = 'read' | 'inferred' | 'proposed' | 'choice';

/** What comes of a negotiation: these features and this path, or a refusal by its code and the rule that decided. */
export type DecisionOutcome =
  | { readonly accepted: readonly string[]; readonly path: string }
  | { readonly refused: string; readonly rule: string };

/** A platform as rows name it. */
export interface DecisionPlatform {
  /** What it is, in words. */
  readonly is: string;
  /** What it says of itself, without the sentence for people. */
  readonly traits: Omit<PlatformTraits, 'addressMeaning' | 'identityVerified'> & {
    readonly identityVerified?: boolean;
  };
  /** The `platform` section of a profile, where this repository has the plugin. */
  readonly profile?: Readonly<Record<string, unknown>>;
}

/** One case of the decision table. Feature names are those of profiles. */
export interface DecisionRow {
  /** Of the table: `B9`. Several cases may share one. */
  readonly id: string;
  /** Tells the cases of one row apart. */
  readonly case?: string;
  readonly title: string;
  /**
   * `negotiation`: the core's algorithm decides. `profile`: the device, or a rule of the platform, so that a whole
   * machine is needed to see it. `observed`: no outcome of negotiation; a test does it and writes down what it saw.
   */
  readonly kind: 'negotiation' | 'profile' | 'observed';
  /** Backing of what the row says of the world, and of what it says should be done. */
  readonly facts: Backing;
  readonly decision: Backing;
  /** The code of the refusal is our own choice. */
  readonly ownCode?: boolean;
  /** Where it comes from, in our own words. */
  readonly source: string;
  /** The mails and commits of the source: keys of `REFERENCES` of the core. */
  readonly references?: readonly ReferenceName[];
  readonly platform?: string;
  readonly offered?: readonly string[];
  /** `modern` unless given. */
  readonly interface?: 'modern' | 'legacy';
  /** `kernel` unless given. */
  readonly privilege?: DriverPrivilege;
  /**
   * As in the `driver` section of a profile: what it lacks, takes back, or writes whatever the rules say. `declines` is
   * what the driver half of `deviceType` cannot work with.
   */
  readonly driver?: Readonly<Partial<Record<'lacks' | 'clears' | 'forces' | 'declines', readonly string[]>>>;
  /** Where it differs from the default. */
  readonly policy?: Partial<Omit<NegotiationPolicy, 'bits'>>;
  /** `block` unless given. */
  readonly deviceType?: string;
  /** `pci` unless given. */
  readonly transport?: Exclude<TransportKind, 'legacy'>;
  /** Width of the addresses that the device takes; 64 unless given. */
  readonly addressBits?: number;
  /** Whether they reach all of guest memory; `true` unless given. */
  readonly reachesMemory?: boolean;
  /** A {@link DecisionOutcome} of kind `negotiation`; otherwise what was seen, as plain data. */
  readonly outcome: Readonly<Record<string, unknown>>;
  /** How it runs on the embedded machine, where not by the platform's own profile; `false` where it cannot. */
  readonly embedded?:
    | false
    | {
        readonly platform?: string;
        readonly machine?: Readonly<Record<string, unknown>>;
        readonly device?: Readonly<Record<string, unknown>>;
        readonly outcome?: Readonly<Record<string, unknown>>;
      };
  /** What the row does not show. */
  readonly note?: string;
}

/** The decision table: the platforms that it names, and its rows. */
export interface DecisionTable {
  readonly platforms: Readonly<Record<string, DecisionPlatform>>;
  /** In the order of the table. */
  readonly rows: readonly DecisionRow[];
}

const FOLDER = new URL('../../decision-table/', import.meta.url);
const PLATFORMS = 'platforms.json';

/** Reads the published table: one file a section, and the platforms that rows name. */
export function readDecisionTable(): DecisionTable {
  const sections = readdirSync(FOLDER).filter((name) => name.endsWith('.json') && name !== PLATFORMS);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own data, which the tests of the table read whole
  const rows = sections.toSorted().flatMap((name) => readJson(name) as readonly DecisionRow[]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  const platforms = readJson(PLATFORMS) as DecisionTable['platforms'];
  return { platforms, rows };
}

/** A row by number and case, as tests name it. */
export function decisionRowName({ id, case: which, title }: DecisionRow): string {
  return which === undefined ? `${id}: ${title}` : `${id} (${which}): ${title}`;
}

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'));
}

const EVERYTHING = new FeatureSet((1n << 128n) - 1n);

/** What negotiation is told in a row's case: a driver that knows every feature but those it lacks. */
export function rowInput(row: DecisionRow, platform: DecisionPlatform): NegotiationInput {
  const deviceFeatures = row.deviceType === undefined ? BLOCK_FEATURES : NO_DEVICE_FEATURES;
  const features = (names: readonly string[] = []): FeatureSet =>
    FeatureSet.of(...names.map((name) => knownBit(name, deviceFeatures, row.id)));
  const isLegacy = row.interface === 'legacy';
  return {
    deviceFeatures,
    interface: isLegacy ? 'legacy' : 'modern',
    offered: features(row.offered),
    supported: EVERYTHING.minus(features(row.driver?.lacks)),
    carries: transportCarries(isLegacy ? 'legacy' : (row.transport ?? 'pci')),
    traits: platformTraits(platform),
    privilege: row.privilege ?? 'kernel',
    policy: { ...DEFAULT_POLICY, ...row.policy },
    clears: features(row.driver?.clears),
    declines: [...features(row.driver?.declines)].map((feature) => ({ feature, reason: 'the driver half says so' })),
    addressBits: row.addressBits,
    reachesMemory: row.reachesMemory,
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
  return { accepted: accepted.names(input.deviceFeatures).toSorted(), path: path ?? 'none' };
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

function knownBit(name: string, deviceFeatures: FeatureTable, row: string): number {
  const bit = featureBit(name, deviceFeatures);
  if (bit === undefined) throw new RangeError(`row ${row}: ${name} is no feature of its device`);
  return bit;
}

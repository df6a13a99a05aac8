import type { BufferMapping } from '@virtio-platform/core';
import type { Misbehavior } from '@virtio-platform/core/failure';
import type { DriverPrivilege, NegotiationPolicy } from '@virtio-platform/core/negotiation';
import type { UsedLengthPolicy } from '@virtio-platform/core/queue';
import type { DeviceSection, Disruption, ExpectSection, FailuresSection, QueueSection } from './profile.ts';

/** A value of a profile that is an object: plain data. What is `undefined` is not given. */
export type ProfileValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | readonly ProfileValue[]
  | { readonly [key: string]: ProfileValue };

/** The keys of a section that every profile may have, and those that only a plugin knows. */
export type OpenSection<Keys> = Keys & { readonly [key: string]: ProfileValue };

/** The keys of the sections of a profile, as it is written. Only those of a plugin are not here. */
export interface SectionKeys {
  /** `use` is the name of a package or a path that starts with `./` or `../`. */
  readonly platform: { readonly use?: string };
  /** `memory` is in bytes, or text with a unit: `64MiB`. */
  readonly machine: { readonly use?: string; readonly memory?: number | string };
  /** `type` is the short name of a device type; `use` the package, or a path. One of them is needed. */
  readonly device: {
    readonly type?: string;
    readonly use?: string;
    readonly interface?: DeviceSection['interface'];
    readonly offers?: readonly string[];
    readonly dmaBits?: number;
    readonly minAlignMask?: number;
    /** Each schedule as in `failures`; `late` has `by`, with a unit: `5ms`. */
    readonly misbehaves?: { readonly [Way in keyof Misbehavior]?: ProfileValue };
  };
  readonly driver: {
    readonly privilege?: DriverPrivilege;
    readonly interface?: 'modern' | 'legacy';
    readonly buffers?: BufferMapping;
    /** With a unit: `5s`, `500ms`. */
    readonly timeout?: string;
    readonly usedLength?: UsedLengthPolicy;
    readonly lacks?: readonly string[];
    readonly clears?: readonly string[];
    readonly forces?: readonly string[];
    readonly sanitize?: boolean;
  };
  readonly policy: { readonly [Switch in Exclude<keyof NegotiationPolicy, 'bits'>]?: boolean } & {
    readonly noTranslationBit?: number;
    readonly identityAddressBit?: number;
  };
  readonly queue: Partial<QueueSection>;
  readonly workload: {
    readonly kind?: string;
    readonly requests?: number;
    readonly depth?: number;
    readonly seed?: number;
    readonly disruptions?: readonly Disruption[];
  };
  readonly failures: Partial<FailuresSection>;
  readonly expect: ExpectSection;
}

/** The sections of a profile that have keys which only a plugin knows. */
export type OpenSectionName = 'platform' | 'machine' | 'device' | 'workload';

/**
 * A profile as an object, with the keys that a YAML profile has. Numbers beyond 2^53, such as addresses, are bigint.
 * What a base has under `extends`, or each run under `matrix`, may be left out.
 */
export type ProfileObject = {
  readonly [Name in keyof SectionKeys]?: Name extends OpenSectionName
    ? OpenSection<SectionKeys[Name]>
    : SectionKeys[Name];
} & {
  /** The name of the profile. */
  readonly profile?: string;
  readonly summary?: string;
  /** The path of another profile, from the base directory on. */
  readonly extends?: string;
  /** Dotted paths with lists of values, or a list of partial profiles. */
  readonly matrix?:
    | { readonly [path: string]: readonly ProfileValue[] }
    | readonly Omit<ProfileObject, 'extends' | 'matrix'>[];
};

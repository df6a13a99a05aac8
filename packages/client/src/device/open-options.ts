import type { LoadOptions, Profile, ProfileSource } from '@virtio-platform/profile';

/**
 * A profile: the path or URL of a YAML file, text, an object, or one that was loaded. One that is an object needs no
 * workload section.
 */
export type ProfileLike = ProfileSource | Profile;

/** What each open function may be given beside the profile. */
export interface OpenOptions {
  /** Aborts the opening: it rejects with the reason, and nothing stays. Means nothing once the device is open. */
  readonly signal?: AbortSignal | undefined;
  /** Which plugins may be used and where they are looked for, and where the paths in text and objects start. */
  readonly load?: LoadOptions | undefined;
  /** Requests or messages that the device has at once. Limited by its queues. */
  readonly depth?: number | undefined;
}

/** What a request may be given beside its values. */
export interface RequestOptions {
  /**
   * Aborts the request: one that waits is taken back; one that the device has rejects once the device returned it,
   * because its memory is the device's until then.
   */
  readonly signal?: AbortSignal | undefined;
}

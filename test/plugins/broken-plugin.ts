/** A plugin that does one thing wrong, and what a person reads of it. */
export interface BrokenPlugin {
  /** The kind of the plugin; the others of the profile are right. */
  readonly kind: 'platform' | 'machine' | 'device';
  /** The module, behind the prelude of its kind. */
  readonly module: string;
  readonly code: string;
  /** Behind the plugin's name in the first line of the error, before the place in the profile. */
  readonly says: string;
  /** The member that the report names; `null` where the plugin was not loaded, or no member is known. */
  readonly hook?: string;
  /** The error is of the device, and names no plugin. */
  readonly isOfDevice?: boolean;
  /** The device is in a worker. */
  readonly inWorker?: boolean;
  /** Buffers are mapped one by one. */
  readonly streaming?: boolean;
}

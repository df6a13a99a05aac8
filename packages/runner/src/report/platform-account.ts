import { isCodedError, messageOf, type PlatformStatistics } from '@virtio-platform/core';
import { LeakLog, type Leak, type LeakRecord } from '@virtio-platform/core/memory';
import { LocatedPluginError, type ComposedRun } from '@virtio-platform/profile';
import type { LeakReport, RunReport } from './report.ts';

/**
 * The leaks of a platform, as reports show them: what the platform says, or the count of its mappings (`ofMappings`)
 * where it says nothing. Throws {@link CodedError} `ERR_PLUGIN_HOOK` where that throws or is no record of leaks.
 */
export function leaksOf({ platform, profile }: ComposedRun, ofMappings: number): RunReport['leaked'] {
  const hook = { kind: 'platform', use: profile.platform, name: 'leaks' } as const;
  const leaks = read(hook, () => platform.leaks, isLeakRecord, 'a count and entries of { what, address, length }');
  if (leaks === undefined) return { count: ofMappings, first: [] };
  return { count: leaks.count, first: leaks.entries.slice(0, LeakLog.LIMIT).map(leakReport) };
}

/**
 * What platform and machine show of themselves; empty where they show nothing. Throws {@link CodedError}
 * `ERR_PLUGIN_HOOK` where one of them throws, or shows anything but named numbers.
 */
export function statisticsOf({ platform, machine, profile }: ComposedRun): PlatformStatistics {
  const wanted = 'groups of finite numbers, each with a name';
  const ofPlatform = { kind: 'platform', use: profile.platform, name: 'statistics' } as const;
  const ofMachine = { kind: 'machine', use: profile.machine, name: 'statistics' } as const;
  return {
    ...read(ofPlatform, () => platform.statistics, isStatistics, wanted),
    ...read(ofMachine, () => machine.statistics?.(), isStatistics, wanted),
  };
}

function leakReport({ what, address, length }: Leak): LeakReport {
  return { what, address: `0x${address.toString(16)}`, length };
}

/** A member of a plugin that is read for the report. */
interface ReadMember {
  readonly kind: 'platform' | 'machine';
  readonly use: ComposedRun['profile']['platform'];
  readonly name: 'leaks' | 'statistics';
}

function read<T>(
  { kind, use, name }: ReadMember,
  get: () => unknown,
  isRight: (value: unknown) => value is T,
  wanted: string,
): T | undefined {
  let value: unknown;
  try {
    value = get();
  } catch (cause) {
    if (isCodedError(cause)) throw cause;
    throw new LocatedPluginError(kind, use, {
      code: 'ERR_PLUGIN_HOOK',
      message: `its \`${name}\` threw: ${messageOf(cause)}`,
      hint: 'this is a mistake in the plugin; the cause has the stack',
      cause,
    });
  }
  if (value === undefined || isRight(value)) return value;
  const contract = kind === 'platform' ? 'Platform' : 'BootedMachine';
  throw new LocatedPluginError(kind, use, {
    code: 'ERR_PLUGIN_HOOK',
    message: `its \`${name}\` is not ${wanted}`,
    hint: `this is a mistake in the plugin; see the interface \`${contract}\` of @virtio-platform/core`,
  });
}

function isLeakRecord(value: unknown): value is LeakRecord {
  if (!isRecord(value)) return false;
  const { count, entries } = value;
  return isCount(count) && Array.isArray(entries) && entries.every(isLeak);
}

function isLeak(value: unknown): value is Leak {
  return isRecord(value) && typeof value['what'] === 'string' && isCount(value['address']) && isCount(value['length']);
}

function isStatistics(value: unknown): value is PlatformStatistics {
  return isRecord(value) && Object.values(value).every((group) => isRecord(group) && areNumbers(group));
}

function areNumbers(group: Record<string, unknown>): boolean {
  return Object.values(group).every((value) => Number.isFinite(value));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

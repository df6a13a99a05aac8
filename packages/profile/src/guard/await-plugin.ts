/** Milliseconds for one step of a plugin, such as loading it or checking its options, unless given. */
export const PLUGIN_TIMEOUT_MS = 60_000;
/** Milliseconds for the boot of a machine, which bounds its own waits by its options. */
export const BOOT_TIMEOUT_MS = 600_000;

/** A step of a plugin that has not settled: in time, or where nothing is left that could settle it. */
export class UnsettledError extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'UnsettledError';
  }
}

/** Gives up each step that is awaited. */
const awaited = new Set<() => void>();

function giveUpAll(): void {
  for (const giveUp of awaited) giveUp();
}

/**
 * Whether a step of a plugin is awaited: when the process has nothing left to do, that step is given up, and what
 * awaits it goes on.
 */
export function isPluginAwaited(): boolean {
  return awaited.size > 0;
}

/**
 * Awaits a step of a plugin, whose promise may never settle. Rejects with {@link UnsettledError} after `timeoutMs`, and
 * at once where the process has nothing left to do. `quietMs` tells how long a step has shown no sign of life, where
 * only that is bounded. What is not a promise is returned as it is.
 */
export async function awaitPlugin<T>(step: T | PromiseLike<T>, timeoutMs: number, quietMs?: () => number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let giveUp!: () => void;
  const unsettled = new Promise<never>((_, reject) => {
    giveUp = (): void => reject(new UnsettledError('never settles: nothing is left that could settle it'));
    const bound = quietMs === undefined ? `in ${timeoutMs} ms` : `and did nothing for ${timeoutMs} ms`;
    const look = (): void => {
      const left = quietMs === undefined ? 0 : timeoutMs - quietMs();
      if (left <= 0) reject(new UnsettledError(`did not settle ${bound}`));
      else startTimer(left);
    };
    // Without a reference, so that the process is seen to have nothing left to do.
    const startTimer = (ms: number): void => {
      timer = setTimeout(look, ms).unref();
    };
    startTimer(timeoutMs);
  });
  if (awaited.size === 0) process.on('beforeExit', giveUpAll);
  awaited.add(giveUp);
  try {
    return await Promise.race([step, unsettled]);
  } finally {
    clearTimeout(timer);
    awaited.delete(giveUp);
    if (awaited.size === 0) process.off('beforeExit', giveUpAll);
  }
}

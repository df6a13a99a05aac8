/** Rejects with the reason of an aborted signal, as long as it is listened to. */
interface AbortWatch {
  readonly aborted: Promise<never>;
  end(): void;
}

function watchAbort(signal: AbortSignal, graceMs: number): AbortWatch {
  let timer: NodeJS.Timeout | undefined;
  let onAbort!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- the reason is the caller's own
    const giveUp = (): void => reject(signal.reason);
    onAbort = (): void => {
      timer = setTimeout(giveUp, graceMs);
    };
  });
  aborted.catch(() => {});
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  const end = (): void => {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  };
  return { aborted, end };
}

/**
 * Awaits a step until `signal` is aborted, and then for at most `graceMs` more: rejects with the reason of the signal
 * where the step does not settle in that time. What becomes of the step afterwards is the caller's to care for.
 */
export async function abortable<T>(
  step: T | PromiseLike<T>,
  signal: AbortSignal | undefined,
  graceMs: number = 0,
): Promise<T> {
  if (signal === undefined) return await step;
  const watch = watchAbort(signal, graceMs);
  try {
    return await Promise.race([step, watch.aborted]);
  } finally {
    watch.end();
  }
}

import { open } from 'node:fs/promises';
import { recordingOf, type Recording } from '@virtio-platform/step';
import { readTraceFile } from '@virtio-platform/trace';

/** How a file begins that `run --trace` wrote. */
const BEGINNING = '{"traceEvents":';

/** Whether a file is a trace rather than a profile; one that cannot be read is none. */
export async function isTrace(path: string): Promise<boolean> {
  try {
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(BEGINNING.length), 0, BEGINNING.length, 0);
      return buffer.toString('latin1', 0, bytesRead) === BEGINNING;
    } finally {
      await file.close();
    }
  } catch {
    return false;
  }
}

/** The runs that a trace file has. Throws {@link CodedError} `ERR_TRACE_FILE`. */
export async function recordingsOfTrace(path: string): Promise<readonly Recording[]> {
  return (await readTraceFile(path)).map(({ name, trace }) => recordingOf(trace, name));
}

import { connect } from 'node:net';

/** The monitor is gone before it answered: QEMU ended. */
export class MonitorGone extends Error {
  override readonly name = 'MonitorGone';
}

/**
 * Sends commands to a QMP monitor over its socket, one after the other, and returns what it answered to each. Rejects
 * with {@link MonitorGone} where QEMU ends first, and with the answer of a command that fails.
 */
export async function monitor(socket: string, commands: readonly object[]): Promise<unknown[]> {
  const connection = connect(socket);
  try {
    return await new Promise<unknown[]>((resolve, reject) => {
      const left = [{ execute: 'qmp_capabilities' }, ...commands];
      const answers: unknown[] = [];
      let text = '';
      connection.on('error', (cause) => reject(new MonitorGone(socket, { cause })));
      connection.on('close', () => reject(new MonitorGone(socket)));
      connection.on('data', (data: Buffer) => {
        text += data.toString();
        if (text.includes('"error"')) reject(new Error(text));
        for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
          const line = text.slice(0, end);
          text = text.slice(end + 1);
          if (!line.includes('"QMP"') && !line.includes('"return"')) continue;
          answers.push((JSON.parse(line) as { readonly return?: unknown }).return);
          const next = left.shift();
          // The greeting, and the answer to qmp_capabilities, are no answers to a command.
          if (next === undefined) return resolve(answers.slice(2));
          connection.write(`${JSON.stringify(next)}\n`);
        }
      });
    });
  } finally {
    connection.destroy();
  }
}

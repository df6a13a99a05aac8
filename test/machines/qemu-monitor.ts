import { connect } from 'node:net';

/** Sends commands to a QMP monitor over its socket, one after the other. */
export async function askMonitor(socket: string, commands: readonly object[]): Promise<void> {
  const connection = connect(socket);
  try {
    await new Promise<void>((resolve, reject) => {
      const left = [{ execute: 'qmp_capabilities' }, ...commands];
      let text = '';
      connection.on('error', reject);
      connection.on('data', (data: Buffer) => {
        text += data.toString();
        if (text.includes('"error"')) reject(new Error(text));
        for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
          const line = text.slice(0, end);
          text = text.slice(end + 1);
          if (!line.includes('"QMP"') && !line.includes('"return"')) continue;
          const next = left.shift();
          if (next === undefined) return resolve();
          connection.write(`${JSON.stringify(next)}\n`);
        }
      });
    });
  } finally {
    connection.destroy();
  }
}

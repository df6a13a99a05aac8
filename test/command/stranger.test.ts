import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commandHere, commandProcess, reportsOf, ROOT } from './command.ts';

const LINEAR = join(ROOT, 'profiles/pseries-linear.yaml');
const STARTED = 'a program was started';

let folder: string;
let server: Server | undefined;
beforeEach(() => {
  // In the repository, so that modules find our packages.
  folder = mkdtempSync(join(ROOT, 'test', '.outside-'));
});
afterEach(() => {
  server?.close();
  server = undefined;
  rmSync(folder, { recursive: true });
});

function profile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const SMALL = `extends: ${LINEAR}\nmatrix: []\nworkload: { requests: 10, depth: 4 }\nexpect: { path: linear }\n`;

/** A program that leaves a file and ends. */
function program(): string {
  const path = join(folder, 'program.sh');
  writeFileSync(path, `#!/bin/sh\necho '${STARTED}' >'${join(folder, 'started')}'\nexit 1\n`, { mode: 0o755 });
  return path;
}

function machines(): Readonly<Record<string, string>> {
  return {
    'a back-end': `use: "@virtio-platform/machine-vhost-user", memory: 64MiB, command: [${program()}, "{socket}", "{image}"]`,
    QEMU: `use: "@virtio-platform/machine-qemu", memory: 256MiB, board: pseries, program: ${program()}`,
  };
}

/** A machine that leaves a file when it is loaded. */
function plugin(path: string, name: string): void {
  writeFileSync(
    path,
    `import { writeFileSync } from 'node:fs';
writeFileSync(${JSON.stringify(join(folder, 'loaded'))}, '');
const plugin = (await import(${JSON.stringify(join(ROOT, 'packages/machine-simulated/dist/index.js'))})).default;
export default { ...plugin, name: '${name}' };
`,
  );
}

const COMMANDS = ['explain', 'matrix', 'check'] as const;

describe('a profile of a stranger', () => {
  it.each(['a back-end', 'QEMU'])('S5 has no program started by what only looks: %s', async (name) => {
    const image = join(folder, 'disk.img');
    const path = profile(
      'program.yaml',
      `${SMALL}profile: program\nmachine: { ${machines()[name]} }\ndevice: { image: disk.img }\n`,
    );
    for (const command of COMMANDS) {
      const { status, stdout } = await commandHere([command, path]);
      expect([command, status]).toEqual([command, 0]);
      expect(stdout.length).toBeGreaterThan(20);
    }
    expect(existsSync(join(folder, 'started'))).toBe(false);
    expect(existsSync(image)).toBe(false);
    const { stdout } = await commandHere(['explain', path, '--json']);
    const [explained] = JSON.parse(stdout) as [Record<string, unknown>];
    expect(explained).toMatchObject({ path: 'linear', negotiatedOn: 'simulated' });
    expect(explained['machine']).not.toBe('simulated');
    const { status } = await commandHere(['run', path]);
    expect([status, existsSync(join(folder, 'started'))]).toEqual([1, true]);
  });

  it('S5 has no image made and no socket connected to by what only looks', async () => {
    const image = profile(
      'image.yaml',
      `${SMALL}profile: image\ndevice: { image: disk.img }\nmachine: { device: worker }\n`,
    );
    let connections = 0;
    const socket = join(folder, 'socket');
    server = createServer(() => connections++).listen(socket);
    const connected = profile(
      'socket.yaml',
      `${SMALL}profile: socket\nmachine: { use: "@virtio-platform/machine-vhost-user", memory: 64MiB, socket: ./socket }\n`,
    );
    for (const command of COMMANDS)
      for (const path of [image, connected]) expect((await commandHere([command, path])).status).toBe(0);
    expect([existsSync(join(folder, 'disk.img')), connections]).toEqual([false, 0]);
  });

  it.each(['a back-end', 'QEMU'])('S5 starts no program with --no-programs: %s', async (name) => {
    const path = profile('program.yaml', `${SMALL}profile: program\nmachine: { ${machines()[name]} }\n`);
    for (const command of ['run', 'check']) {
      const { status, stderr } = await commandHere([command, path, '--no-programs']);
      expect([status, stderr]).toEqual([2, expect.stringContaining('ERR_PLUGIN_PROGRAM')]);
      expect(stderr).toContain('program.sh');
    }
    expect(existsSync(join(folder, 'started'))).toBe(false);
  });

  it('S5 a plugin that does not say what it starts is refused with --no-programs', async () => {
    plugin(join(folder, 'silent.mjs'), 'silent');
    writeFileSync(
      join(folder, 'silent.mjs'),
      readFileSync(join(folder, 'silent.mjs'), 'utf8').replace('name:', 'programs: undefined, name:'),
    );
    const path = profile('silent.yaml', `${SMALL}profile: silent\nmachine: { use: ./silent.mjs, memory: 64MiB }\n`);
    const { status, stderr } = await commandHere(['run', path, '--no-programs']);
    expect([status, stderr]).toEqual([2, expect.stringContaining('does not say which programs it starts')]);
  });

  it('S5 loads no plugin of its own with --no-plugins-outside', async () => {
    plugin(join(folder, 'x.mjs'), 'outside');
    mkdirSync(join(folder, 'node_modules', 'stranger'), { recursive: true });
    writeFileSync(join(folder, 'node_modules', 'stranger', 'package.json'), '{"name":"stranger","exports":"./x.mjs"}');
    plugin(join(folder, 'node_modules', 'stranger', 'x.mjs'), 'stranger');
    for (const use of ['./x.mjs', 'stranger', join(folder, 'x.mjs')]) {
      const path = profile('outside.yaml', `${SMALL}profile: outside\nmachine: { use: ${use}, memory: 64MiB }\n`);
      for (const command of ['run', ...COMMANDS]) {
        const { status, stderr } = await commandHere([command, path, '--no-plugins-outside']);
        expect([use, command, status, stderr]).toEqual([
          use,
          command,
          2,
          expect.stringContaining('ERR_PLUGIN_OUTSIDE'),
        ]);
      }
    }
    expect(existsSync(join(folder, 'loaded'))).toBe(false);
  });

  it('S5 cannot put a plugin of its own in the place of an installed one with --no-plugins-outside', async () => {
    const own = join(folder, 'node_modules', '@virtio-platform', 'machine-simulated');
    mkdirSync(own, { recursive: true });
    writeFileSync(join(own, 'package.json'), '{"name":"@virtio-platform/machine-simulated","exports":"./x.mjs"}');
    plugin(join(own, 'x.mjs'), 'impostor');
    const use = '"@virtio-platform/machine-simulated"';
    const path = profile('impostor.yaml', `${SMALL}profile: impostor\nmachine: { use: ${use}, memory: 64MiB }\n`);
    const inside = await commandHere(['run', path, '--json', '--no-plugins-outside', '--no-programs']);
    expect([inside.status, inside.stderr]).toEqual([0, '']);
    expect(reportsOf(inside)[0]!.machine).toBe('simulated');
    expect(existsSync(join(folder, 'loaded'))).toBe(false);
    await commandHere(['run', path]);
    expect(existsSync(join(folder, 'loaded'))).toBe(true);
  });
});

describe('an image', () => {
  const OTHERS = {
    embedded: '',
    'embedded, in a worker': 'machine: { device: worker }',
    QEMU: 'machine: { use: "@virtio-platform/machine-qemu", memory: 256MiB, board: pseries }',
  } as const;

  it.each(Object.keys(OTHERS) as (keyof typeof OTHERS)[])(
    'T9 S5 is a regular file of the size of the device, whatever the machine: %s',
    async (machine) => {
      const run = async (image: string, more = ''): Promise<ReturnType<typeof reportsOf>[number]> => {
        const path = profile(
          'image.yaml',
          `${SMALL}profile: image\ndevice: { capacity: 1MiB, image: ${image}${more} }\n${OTHERS[machine]}\n`,
        );
        const result = await commandHere(['run', path, '--json']);
        expect([image, result.status]).toEqual([image, 1]);
        return reportsOf(result)[0]!;
      };
      mkdirSync(join(folder, 'folder'));
      spawnSync('mkfifo', [join(folder, 'pipe')]);
      writeFileSync(join(folder, 'notes'), 'dear diary');
      symlinkSync('notes', join(folder, 'link'));
      for (const image of ['folder', 'pipe', 'link', '/dev/null', 'notes'])
        expect((await run(image)).failure).toMatchObject({ code: 'ERR_DEVICE_IMAGE' });
      expect(readFileSync(join(folder, 'notes'), 'utf8')).toBe('dear diary');
    },
  );

  it('S5 of another size is overwritten where the profile says so', async () => {
    writeFileSync(join(folder, 'notes'), 'dear diary');
    const path = profile(
      'image.yaml',
      `${SMALL}profile: image\ndevice: { capacity: 1MiB, image: notes, overwrite: true }\n`,
    );
    expect((await commandHere(['run', path])).status).toBe(0);
    expect(readFileSync(join(folder, 'notes'))).toHaveLength(1 << 20);
    expect(
      (
        await commandHere([
          'run',
          profile('again.yaml', `${SMALL}profile: again\ndevice: { capacity: 1MiB, image: notes }\n`),
        ])
      ).status,
    ).toBe(0);
  });

  it('S7 that a run uses is refused to a second one', async () => {
    const text = `${SMALL}profile: locked\ndevice: { capacity: 1MiB, image: disk.img }\n`;
    const long = profile(
      'long.yaml',
      `${text}workload: { requests: 100000000 }\n`.replace('workload: { requests: 10, depth: 4 }\n', ''),
    );
    const second = profile('second.yaml', text);
    const { process: first, finished } = commandProcess(['run', long]);
    await expect.poll(() => existsSync(join(folder, 'disk.img')), { timeout: 60_000 }).toBe(true);
    await expect
      .poll(async () => reportsOf(await commandHere(['run', second, '--json']))[0]!.failure?.code, { timeout: 60_000 })
      .toBe('ERR_DEVICE_IMAGE');
    first.kill('SIGTERM');
    await finished;
    expect((await commandHere(['run', second])).status).toBe(0);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shippedPlatforms } from '@virtio-platform/cli';
import { loadProfiles } from '@virtio-platform/profile';
import { DEFAULT_OFFERS, negotiationMatrix, type MatrixRow } from '@virtio-platform/runner';
import { afterAll, describe, expect, it } from 'vitest';
import { BROWSER, renderedPage } from './browser.ts';
import { commandHere, ROOT, virtioPlatform } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const LINEAR = join(ROOT, 'profiles/pseries-plain.yaml');
/** Names that are markup, and a formula. */
const HOSTILE = write(
  'offers.yaml',
  `'<img src=x onerror=alert(1)>': [VERSION_1, ACCESS_PLATFORM]
'a|b"c': { interface: legacy, features: [ANY_LAYOUT] }
'=1+1': []
`,
);

async function matrixOf(words: readonly string[]): Promise<MatrixRow[]> {
  return JSON.parse((await commandHere(['matrix', ...words, '--json'])).stdout) as MatrixRow[];
}

async function hostileMatrix(format: string): Promise<string> {
  return (await commandHere(['matrix', LINEAR, '--offers', HOSTILE, '--format', format])).stdout;
}

describe('virtio-platform matrix', () => {
  it('prints the shipped platforms against sixteen offers', async () => {
    const { status, stdout } = await virtioPlatform(['matrix']);
    expect(status).toBe(0);
    const lines = stdout.split('\n').filter((line) => line.trim() !== '');
    for (const name of [
      'no-iommu-identity',
      'intel-iommu',
      'amd-iommu',
      'pseries-linear',
      'pseries-secure',
      'sev-bounce',
      'vfio-pool',
      'virtio-iommu',
      'smmuv3',
    ])
      expect(lines[0]).toContain(name);
    expect(lines).toHaveLength(1 + 16 + 1);
    expect(stdout).toMatch(/^V1 AP NT +identity .*linear .*bounced .*EPERM +EPERM/m);
  });

  it('declines what the transport of the machine does not carry', async () => {
    const offers = write('reset.yaml', `reset: [VERSION_1, RING_RESET]\n`);
    const onPci = join(ROOT, 'profiles/no-iommu-identity.yaml');
    const path = write(
      'channel.yaml',
      `profile: channel\nextends: ${onPci}\nmatrix: []\nmachine: { transport: channel-io }\n`,
    );
    const cells = async (file: string): Promise<unknown> =>
      (await matrixOf([file, '--offers', offers])).map((row) => row.cells[0]!.declined);
    expect(await cells(onPci)).toEqual([[], []]);
    const declined = [expect.objectContaining({ feature: 'RING_RESET', rule: 'transport-carries' })];
    expect(await cells(path)).toEqual([declined, declined]);
  });

  it('names the rule that decided each cell, with its source', async () => {
    const { stdout } = await commandHere(['matrix', '--rules', '--experimental']);
    const [, number] =
      /^\[(\d+)\] unprivileged-never-untranslated, driver\.privilege: process {2}mail: Bauermann, 2019-06-27/m.exec(
        stdout,
      )!;
    expect(stdout).toMatch(new RegExp(`^V1 AP NT .*EPERM \\[${number}\\]`, 'm'));
    expect(stdout).toMatch(/^V1 NT +physical \+NT /m);
    const option = 'access-platform-if-offered, platform.window: { kind: ddw, mapping: linear }  virtio 1.4';
    const [, linear] = new RegExp(`^\\[(\\d+)\\] ${option.replace(/[{}.]/g, '\\$&')}`, 'm').exec(stdout)!;
    expect(stdout).toMatch(new RegExp(`^V1 AP .*linear \\[${linear}\\]`, 'm'));
  });

  it('shows both layouts', async () => {
    const { stdout } = await commandHere(['matrix']);
    expect(stdout).toMatch(/^V1 AP packed +identity \/p +translated \/p .*linear \/p /m);
    expect(stdout).toMatch(/^V1 AP ring +identity +translated +/m);
    const rows = await matrixOf([LINEAR]);
    expect(rows.map(({ layout }) => layout)).toEqual(['split', 'packed']);
    const [split, packed] = rows.map(({ cells }) => cells.find(({ offer }) => offer === 'V1 AP packed')!);
    expect(split!.accepted).not.toContain('RING_PACKED');
    expect(packed!.accepted).toContain('RING_PACKED');
  });

  it('prints as many platforms beside each other as the terminal is wide', async () => {
    const { stdout } = await commandHere(['matrix'], ROOT, 80);
    for (const line of stdout.split('\n')) expect(line.trimEnd().length).toBeLessThanOrEqual(80);
    expect(stdout.match(/^offer /gm)!.length).toBeGreaterThan(2);
    expect(stdout.match(/^V1 AP ring /gm)!.length).toBe(stdout.match(/^offer /gm)!.length);
  });

  it('takes runs that differ in their layout for one platform', async () => {
    const rows = await matrixOf([
      join(ROOT, 'profiles/pseries-linear.yaml'),
      join(ROOT, 'profiles/ring-features.yaml'),
    ]);
    expect(rows.filter(({ layout }) => layout === 'split').map(({ profile }) => profile)).toEqual([
      'pseries-linear',
      'ring-features [machine.device=same-thread]',
      'ring-features [machine.device=worker]',
    ]);
  });

  it('gives every cell as JSON and as a line of CSV', async () => {
    const rows = JSON.parse((await commandHere(['matrix', '--json'])).stdout) as MatrixRow[];
    const cells = rows.flatMap((row) => row.cells);
    expect(cells).toHaveLength(12 * 16 * 2);
    for (const { outcome, path, refusal, rule, source } of cells) {
      expect((outcome === 'refused') === (path === null)).toBe(true);
      expect((outcome === 'refused') === (refusal !== null)).toBe(true);
      expect(`${rule} ${source}`).toMatch(/\S \S/);
    }
    const csv = (await commandHere(['matrix', '--format', 'csv'])).stdout.trimEnd().split('\r\n');
    expect(csv).toHaveLength(1 + cells.length);
    expect(csv[0]).toContain('"profile","layout","platform","privilege","offer","outcome"');
  });

  it('takes offers from a file, and escapes their names in every format', async () => {
    expect(await hostileMatrix('table')).toContain('<img src=x');
    expect(await hostileMatrix('markdown')).toContain('| a\\|b"c | physical |');
    const csv = await hostileMatrix('csv');
    expect(csv).toContain('"a|b""c"');
    expect(csv).toContain(`"'=1+1"`);
    const html = await hostileMatrix('html');
    expect(html).toContain('&lt;img src=x onerror=alert(1)&gt;');
    expect(html).not.toContain('<img');
  });

  it('exits 2 for a file of offers that is wrong, with the place', async () => {
    const path = write('wrong.yaml', 'good: [VERSION_1]\nbad: [VERSION_1, ACESS_PLATFORM]\n');
    const { status, stderr } = await commandHere(['matrix', LINEAR, '--offers', path]);
    expect(status).toBe(2);
    expect(stderr).toContain('wrong.yaml:2:18: bad.1: must be a feature');
    expect(stderr).toContain('ACCESS_PLATFORM');
    expect((await commandHere(['matrix', '--format', 'pdf'])).status).toBe(2);
    expect((await commandHere(['matrix', 'nothing.yaml'])).status).toBe(2);
  });

  it('agrees with what a machine with such a device does', async () => {
    const profiles = (await loadProfiles(join(ROOT, 'profiles/argument/09-unprivileged-driver.yaml'))).slice(0, 1);
    const [row] = await negotiationMatrix(profiles, DEFAULT_OFFERS);
    const cell = row!.cells.find(({ offer }) => offer === 'V1 AP NT')!;
    const explained = JSON.parse(
      (await commandHere(['explain', '--json', join(ROOT, 'profiles/argument/09-unprivileged-driver.yaml')])).stdout,
    ) as { refusal: unknown }[];
    expect({ ...cell.refusal, option: cell.option }).toEqual(explained[0]!.refusal);
  });
});

describe('matrix --compare', () => {
  it('says which cells changed, from what to what, and what decided', async () => {
    const old = write('old.json', (await commandHere(['matrix', '--json'])).stdout);
    const { status, stdout } = await commandHere(['matrix', '--experimental', '--compare', old]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^6 changed since /);
    expect(stdout).toMatch(/^pseries-identity +V1 NT +split, packed +physical +physical \+NT *$/m);
    expect(stdout).toContain(
      'ACCESS_PLATFORM_NO_TRANSLATION by experimental-off, now by no-translation-needs-identity',
    );
  });

  it('exits with 1 only where asked, and only for a change', async () => {
    const old = write('same.json', (await commandHere(['matrix', LINEAR, '--json'])).stdout);
    const status = async (...words: string[]): Promise<number | null> =>
      (await commandHere(['matrix', LINEAR, '--compare', old, ...words])).status;
    expect(await status('--exit-code')).toBe(0);
    expect(await status('--experimental', '--exit-code')).toBe(0);
    const dynamic = ['matrix', join(ROOT, 'profiles/pseries-dynamic.yaml'), '--compare', old, '--json'];
    expect((await commandHere(dynamic)).status).toBe(0);
    const { status: changed, stdout } = await commandHere([...dynamic, '--exit-code']);
    expect(changed).toBe(1);
    const changes = JSON.parse(stdout) as { offer: string; before: { text: string }; after: { decidedBy: string } }[];
    expect(changes.find(({ offer }) => offer === 'V1 AP')).toMatchObject({
      before: { text: 'linear' },
      after: { text: 'translated', decidedBy: expect.stringContaining('mapping: dynamic') },
    });
  });

  it('compares two stored matrices, one profile with another, and a matrix from before layouts', async () => {
    const [a, b] = [join(ROOT, 'profiles/pseries-linear.yaml'), join(ROOT, 'profiles/pseries-dynamic.yaml')];
    const direct = await commandHere(['matrix', b, '--compare', a, '--json']);
    const stored = await Promise.all([a, b].map(async (path) => JSON.stringify(await matrixOf([path]))));
    const [first, second] = stored.map((text, i) => write(`stored${i}.json`, text));
    expect((await commandHere(['matrix', second!, '--compare', first!, '--json'])).stdout).toBe(direct.stdout);
    const rows = (await matrixOf([a])).slice(0, 1).map(({ layout: _layout, cells, ...row }) => ({
      ...row,
      cells: cells.map(({ option: _option, references: _references, acceptedBy: _by, ...cell }) => cell),
    }));
    const { status, stdout } = await commandHere(['matrix', a, '--compare', write('older.json', JSON.stringify(rows))]);
    expect([status, stdout.includes('not there')]).toEqual([0, true]);
  });

  it('refuses what is no matrix, with what writes one', async () => {
    for (const text of ['{}', '[{"profile": 1}]', 'x']) {
      const { status, stderr } = await commandHere(['matrix', LINEAR, '--compare', write('no.json', text)]);
      expect(status).toBe(2);
      expect(stderr).toMatch(/ERR_MATRIX_FILE\]\n.*matrix --json > FILE/);
    }
  });
});

describe('the matrix of the shipped platforms', () => {
  it('takes less than two seconds', async () => {
    const profiles = (await Promise.all(shippedPlatforms().map((file) => loadProfiles(file)))).map(([first]) => first!);
    await negotiationMatrix(profiles, DEFAULT_OFFERS);
    const startedAt = performance.now();
    await negotiationMatrix(profiles, DEFAULT_OFFERS);
    expect(performance.now() - startedAt).toBeLessThan(2000);
  });
});

describe('the page of the matrix', () => {
  it('loads nothing from anywhere', async () => {
    const { stdout } = await commandHere(['matrix', '--format', 'html']);
    expect(stdout).toContain("default-src 'none'");
    expect(stdout).not.toMatch(/src=|<link|@import|url\(/);
    // Links to sources are followed by people, and the others lead to anchors of the page.
    const ids = new Set(Array.from(stdout.matchAll(/ id="([^"]*)"/g), ([, id]) => id!));
    expect(ids.size).toBeGreaterThan(9 * 16);
    for (const [, link] of stdout.matchAll(/href="([^"]*)"/g)) {
      if (!link!.startsWith('#')) expect(link).toMatch(/^https:\/\/(?:lore|git)\.kernel\.org\//);
      else expect(ids).toContain(link!.slice(1));
    }
  });

  it('marks what changed since an older matrix, with what it was', async () => {
    const old = write('before.json', (await commandHere(['matrix', '--json'])).stdout);
    const { stdout } = await commandHere(['matrix', '--experimental', '--compare', old, '--format', 'html']);
    expect(stdout.match(/<td [^>]*data-changed/g)).toHaveLength(6);
    expect(stdout).toContain('<dt>before (split, packed)</dt><dd>physical</dd>');
  });

  it.skipIf(BROWSER === undefined)(
    'opens the cell that its anchor names, and prints whole (needs chromium)',
    async () => {
      const { stdout } = await commandHere(['matrix', '--format', 'html']);
      const script = `<script>location.hash = '#v1-nt--pseries-linear'; window.dispatchEvent(new Event('hashchange'));
      const rules = [...document.styleSheets[0].cssRules].filter((rule) => rule.media?.mediaText === 'print');
      document.title = rules.length + ' ' + getComputedStyle(document.querySelector('.scroll')).maxHeight;</script>`;
      const rendered = await renderedPage(write('anchored.html', stdout.replace('</body>', `${script}</body>`)));
      expect(rendered).toMatch(/id="v1-nt--pseries-linear"><details open="">/);
      expect(rendered).toMatch(/<title>1 \d+/);
    },
  );

  it.skipIf(BROWSER === undefined)('filters in a browser (needs chromium: apt-get install chromium)', async () => {
    const { stdout } = await commandHere(['matrix', '--experimental', '--format', 'html']);
    const type = `<script>
        const input = document.getElementById('text');
        input.value = 'advertise'; input.dispatchEvent(new Event('input'));
        const select = document.getElementById('outcome');
        select.value = 'refused'; select.dispatchEvent(new Event('change'));
      </script>`;
    const rendered = await renderedPage(write('matrix.html', stdout.replace('</body>', `${type}</body>`)));
    const rows = [...rendered.matchAll(/<tr([^>]*)><th scope="row">([^<]*)</g)];
    expect(rows).toHaveLength(16);
    const shown = rows.filter(([, attributes]) => !attributes!.includes('hidden')).map(([, , name]) => name);
    expect(shown).toEqual(['V1 NT', 'V1 AP NT', 'V1 AP NT ID']);
    expect(rendered.match(/<td data-outcome="refused" id="[^"]*"(?: class="")?>/g)).toHaveLength(6);
    expect(rendered).toMatch(/<td data-outcome="accepted" id="[^"]*" class="dimmed">/);

    const untouched = await renderedPage(write('untouched.html', stdout));
    expect(untouched).not.toMatch(/<tr[^>]* hidden/);
    expect(untouched).not.toContain('class="dimmed"');
  });

  it.skipIf(BROWSER === undefined)('runs nothing that an offer is named after (needs chromium)', async () => {
    const { stdout } = await commandHere(['matrix', LINEAR, '--offers', HOSTILE, '--format', 'html']);
    const rendered = await renderedPage(write('hostile.html', stdout));
    expect(rendered).toContain('<th scope="row">&lt;img src=x onerror=alert(1)&gt;</th>');
    expect(rendered).not.toContain('<img');
  });
});

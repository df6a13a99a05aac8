import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ConformCase } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_RING_PACKED } from '@virtio-platform/core/features';
import balloon from '@virtio-platform/device-balloon';
import block from '@virtio-platform/device-block';
import console from '@virtio-platform/device-console';
import entropy from '@virtio-platform/device-entropy';
import net from '@virtio-platform/device-net';
import scsi from '@virtio-platform/device-scsi';
import {
  casesOf,
  chanceDeviations,
  clausesOf,
  coverageOf,
  inapplicable,
  knownDeviations,
  matchesFilter,
  PCI_CASES,
  PCI_CLAUSES,
  planCases,
  PROTOCOL_CASES,
  PROTOCOL_CLAUSES,
  type CaseResult,
} from '../../src/index.ts';

const CASE: ConformCase = { id: 'ring/one', clause: '2.6', level: 'MUST', title: 'serves', run: () => {} };
const DEVICE = {
  offered: FeatureSet.EMPTY,
  acceptable: FeatureSet.EMPTY,
  isOwnOffer: true,
  queueCount: 1,
  maxQueueSize: () => 8,
  machine: 'vhost-user',
};

describe('the plan of cases', () => {
  it('has an id for each layout where a case has several', () => {
    const both = { ...CASE, layouts: ['split', 'packed'] } as const;
    expect(planCases([CASE, both]).map(({ id }) => id)).toEqual(['ring/one', 'ring/one/split', 'ring/one/packed']);
  });

  it('skips packed rings that are not offered, and what a case needs', () => {
    const [packed] = planCases([{ ...CASE, layouts: ['packed'] }]);
    expect(inapplicable(packed!, DEVICE)).toBe('the device offers no packed rings');
    expect(inapplicable(packed!, { ...DEVICE, acceptable: FeatureSet.of(VIRTIO_F_RING_PACKED) })).toBeUndefined();
    const [needing] = planCases([{ ...CASE, needs: [() => undefined, () => 'too old'] }]);
    expect(inapplicable(needing!, DEVICE)).toBe('too old');
  });

  it('filters by a part of an id, or by all of it', () => {
    expect(matchesFilter('ring/size-1/split', 'size-1')).toBe(true);
    expect(matchesFilter('ring/size-1/split', 'ring/*/split')).toBe(true);
    expect(matchesFilter('ring/size-1/split', 'size-*')).toBe(false);
    expect(matchesFilter('ring/size.1', 'ring/size?1*')).toBe(false);
  });
});

const TYPES = [block, net, console, entropy, scsi, balloon] as const;

describe.each(TYPES.map((type) => [type.name, type] as const))('the cases of the type %s', (_name, type) => {
  const cases = casesOf(type);

  it('have ids of their own, and a title that is a sentence', () => {
    const ids = planCases(cases).map(({ id }) => id);
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
    expect(ids.filter((id) => !/^[a-z-]+\/[A-Za-z0-9-]+(\/(split|packed))?$/.test(id))).toEqual([]);
    expect(cases.filter(({ title }) => !/^[a-z]/.test(title) || title.endsWith('.')).map(({ id }) => id)).toEqual([]);
  });

  it('name a clause that the coverage counts', () => {
    const sections = new Set(clausesOf(type).map(({ section }) => section));
    expect(cases.filter(({ clause }) => !sections.has(clause)).map(({ id, clause }) => `${id}: ${clause}`)).toEqual([]);
  });

  it('try each clause that a driver can see', () => {
    const named = new Set(cases.map(({ clause }) => clause));
    const missing = clausesOf(type).filter(({ section, unseen }) => unseen === undefined && !named.has(section));
    expect(missing.map(({ section }) => section)).toEqual([]);
  });
});

describe('the cases of the vhost-user protocol', () => {
  it('have ids of their own, and a title that is a sentence', () => {
    const ids = planCases(PROTOCOL_CASES).map(({ id }) => id);
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
    expect(ids.filter((id) => !/^vhost-user\/[a-z0-9-]+(\/(split|packed))?$/.test(id))).toEqual([]);
    expect(PROTOCOL_CASES.filter(({ title }) => !/^[a-z]/.test(title) || title.endsWith('.'))).toEqual([]);
  });

  it('are as many as the page that compares conform says', () => {
    const page = readFileSync(new URL('../../../core/docs/conform-compared.md', import.meta.url), 'utf8');
    const [, protocol, all] = /more than (\d+) cases for a back-end of any type[^.]*? more than (\d+):/s.exec(page)!;
    const count = planCases(PROTOCOL_CASES).length;
    expect(count).toBeGreaterThan(Number(protocol));
    expect(count + planCases(casesOf(block)).length).toBeGreaterThan(Number(all));
  });

  it('name a clause that the coverage counts, and try each one that a front-end can see', () => {
    const sections = PROTOCOL_CLAUSES.map(({ section }) => section);
    const named = new Set(PROTOCOL_CASES.map(({ clause }) => clause));
    expect([...named].filter((clause) => !sections.includes(clause))).toEqual([]);
    expect(sections.filter((section) => !named.has(section))).toEqual([]);
  });
});

describe('the cases of the PCI transport', () => {
  it('have ids of their own, and a title that is a sentence', () => {
    const ids = planCases(PCI_CASES).map(({ id }) => id);
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
    expect(ids.filter((id) => !/^pci(\/[a-z0-9_-]+){2,3}(\/(split|packed))?$/.test(id))).toEqual([]);
    expect(PCI_CASES.filter(({ title }) => !/^[a-z]/.test(title) || title.endsWith('.'))).toEqual([]);
  });

  it('name a clause that the coverage counts, and try each of the bus', () => {
    const named = new Set(PCI_CASES.map(({ clause }) => clause));
    const sections = [...clausesOf(block), ...PCI_CLAUSES].map(({ section }) => section);
    expect([...named].filter((clause) => !sections.includes(clause))).toEqual([]);
    expect(PCI_CLAUSES.filter(({ section }) => !named.has(section)).map(({ section }) => section)).toEqual([]);
  });

  it('are as many as the page beside another tester says', () => {
    const page = readFileSync(new URL('../../../core/docs/conform-compared.md', import.meta.url), 'utf8');
    expect(page).toContain(`${planCases(PCI_CASES).length} cases of the registers`);
  });

  it('are more than 900 with those of a block device', () => {
    expect(planCases([...casesOf(block), ...PCI_CASES]).length).toBeGreaterThan(900);
  });
});

/** Groups of cases that have a category of their own on the page that compares conform. */
const STATES = /^(status|features|config|reset|queue-reset|suspend)\//;

/** Cases that a device type brings itself. */
function ofType(type: (typeof TYPES)[number]): number {
  return planCases(casesOf(type)).filter(({ id }) => id.startsWith(`${type.name}/`)).length;
}

describe('the page beside another tester', () => {
  it('has as many cases of each category as there are', () => {
    const page = readFileSync(new URL('../../../core/docs/conform-compared.md', import.meta.url), 'utf8');
    const common = planCases(casesOf(block)).filter(({ id }) => !id.startsWith('block/'));
    const states = common.filter(({ id }) => STATES.test(id));
    const rings = common.filter(({ id }) => !STATES.test(id));
    const counts = {
      'Split rings': rings.filter(({ layout }) => layout === 'split').length,
      'Packed rings': rings.filter(({ layout }) => layout === 'packed').length,
      'Status and life cycle': states.length,
      PCI: planCases(PCI_CASES).length,
      MMIO: 0,
      'Administration queue': 0,
      Block: ofType(block),
      Network: ofType(net),
      Console: ofType(console),
      Entropy: ofType(entropy),
      Balloon: ofType(balloon),
      SCSI: ofType(scsi),
      'The vhost-user protocol': planCases(PROTOCOL_CASES).length,
    };
    const rows = [...page.matchAll(/^\| ([A-Z][\w -]+?) +\| +(?:about )?\d+ +\| +(\d+) +\|/gm)];
    expect(Object.fromEntries(rows.map(([, name, count]) => [name, Number(count)]))).toEqual(counts);
  });
});

describe('the cases of a network device', () => {
  it('are more than 500', () => {
    expect(planCases(casesOf(net)).length).toBeGreaterThan(500);
  });
});

function result(clause: string, verdict: CaseResult['verdict']): CaseResult {
  return {
    id: 'x',
    clause,
    level: 'MUST',
    title: '',
    verdict,
    seen: '',
    severity: 'none',
    ring: [],
    durationMs: 1,
  };
}

describe('the coverage', () => {
  it('counts verdicts, and says why nothing was tried', () => {
    const clauses = [
      { section: '2.6', level: 'MUST', requires: 'a' },
      { section: '2.7', level: 'MUST', requires: 'b' },
      { section: '2.8', level: 'MUST', requires: 'c', unseen: 'no driver can see it' },
    ] as const;
    const results = [result('2.6', 'pass'), result('2.6', 'hang'), result('2.7', 'skip')];
    expect(
      coverageOf(clauses, results).map(({ passed, failed, skipped, state }) => [passed, failed, skipped, state]),
    ).toEqual([
      [1, 1, 0, 'tried'],
      [0, 0, 1, 'not tried'],
      [0, 0, 0, 'no driver can see it'],
    ]);
  });
});

describe('known deviations', () => {
  it('are those of a program and its version', () => {
    expect(knownDeviations('qemu-storage-daemon', '7.2.22', 'block').has('ring/table-behind-descriptors')).toBe(true);
    expect(knownDeviations('qemu-storage-daemon', '9.1.0', 'block').size).toBe(0);
    expect(knownDeviations('my-back-end', '7.2.22', 'block').size).toBe(0);
  });

  it('say which of them chance decides', () => {
    const of = ['qemu-system-x86_64', '7.2.22', 'net'] as const;
    expect([...chanceDeviations(...of)]).toEqual(['hostile/V26-rewritten']);
    expect(knownDeviations(...of).has('hostile/V26-rewritten')).toBe(true);
    expect(chanceDeviations('dpdk-testpmd', '', 'net').has('vhost-user/size-set-mem-table-short')).toBe(true);
  });

  it('name cases that there are', () => {
    for (const type of TYPES) {
      const ids = new Set(
        [...planCases(casesOf(type)), ...planCases(PROTOCOL_CASES), ...planCases(PCI_CASES)].map(({ id }) => id),
      );
      for (const program of ['qemu-storage-daemon', 'qemu-system-x86_64', 'dpdk-testpmd']) {
        if (program === 'qemu-storage-daemon' && type !== block) continue;
        if (program === 'dpdk-testpmd' && type !== net) continue;
        const known = knownDeviations(program, '7.2.0', type.name);
        expect([...known.keys()].filter((id) => !ids.has(id))).toEqual([]);
      }
    }
  });
});

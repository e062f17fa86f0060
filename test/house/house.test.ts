import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { circles, clockUses, problems, readSources, sqlOutsideStore, wrongImports } from '../../scripts/house.ts';

const sources = (files: Record<string, string>) => new Map(Object.entries(files));

describe('imports', () => {
	it.each([
		['commands/a.ts', "import { b } from '../daemon/b.ts';", 'daemon/b.ts'],
		['commands/a.ts', "await import('../daemon/b.ts');", 'daemon/b.ts'],
		['daemon/a.ts', "import type { B } from '../commands/b.ts';", 'commands/b.ts'],
		['src/a.ts', "export * from '../bin/spotctl.ts';", 'bin/spotctl.ts'],
		['src/contract/a.ts', "import '../core/b.ts';", 'src/core/b.ts'],
		['src/contract/a.ts', "import {\n\tb,\n\tc,\n} from '../store/b.ts';", 'src/store/b.ts'],
		['src/contract/a.ts', "import { request } from 'node:http';", 'node:http'],
		['src/store/db.ts', "import { b } from '../contract/index.ts';", 'src/contract/index.ts'],
		['src/store/db.ts', "import type { B } from '../core/index.ts';", 'src/core/index.ts'],
		['src/core/a.ts', "import { sql } from 'kysely';", 'kysely'],
		['daemon/a.ts', "import mysql from 'mysql2/promise';", 'mysql2/promise'],
		['src/fleet/a.ts', "import { b } from '../contract/index.ts';", 'src/contract/index.ts'],
		['src/core/a.ts', "import { b } from '../../test/helpers/b.ts';", 'test/helpers/b.ts'],
	])('from %s as in %j are reported', (file, text, target) => {
		const found = wrongImports(sources({ [file]: `// first\n${text}` }));
		expect(found.length).toBeGreaterThan(0);
		expect(found[0]).toContain(`${file}:`);
		expect(found[0]).toContain(` imports ${target}:`);
	});

	it.each([
		['bin/spotctl.ts', "import { a } from '../commands/main.ts';\nimport { b } from '../daemon/serve.ts';"],
		['src/core/a.ts', "import { a } from '../contract/index.ts';\nimport type { Store } from '../store/index.ts';"],
		['src/store/db.ts', "import { Kysely } from 'kysely';\nimport type { Row } from '../contract/index.ts';"],
		['src/fleet/a.ts', "import { systemClock } from '../deps.ts';\nimport { b } from './b.ts';"],
		['commands/a.ts', "// import { b } from '../daemon/b.ts';\nconst text = `\nimport x from '../src/x.ts'`;"],
	])('from %s as in %j are fine', (file, text) => {
		expect(wrongImports(sources({ [file]: text }))).toEqual([]);
	});

	it('in a circle are reported, unless they are types or lazy', () => {
		const b = "import { c } from './c.ts';";
		expect(
			circles(sources({ 'src/a.ts': "import { b } from './b.ts';", 'src/b.ts': b, 'src/c.ts': "import { a } from './a.ts';" })),
		).toEqual(['src/a.ts -> src/b.ts -> src/c.ts -> src/a.ts: a circle']);
		expect(
			circles(sources({ 'src/a.ts': "import { b } from './b.ts';", 'src/b.ts': b, 'src/c.ts': "import type { A } from './a.ts';" })),
		).toEqual([]);
		expect(circles(sources({ 'src/b.ts': b, 'src/c.ts': "await import('./b.ts');" }))).toEqual([]);
	});
});

describe('clock, chance, timers and environment', () => {
	it.each([
		'const now = Date.now();',
		'const now = new Date();',
		'Math.random()',
		"import { randomUUID } from 'node:crypto';",
		'setTimeout(() => {}, 5);',
		'globalThis.setInterval(run, 5);',
		"import { setTimeout as delay } from 'node:timers/promises';",
		"process.env['HOME']",
		`\`\${process.env.HOME}\``,
		'performance.now()',
	])('are reported in %s', (text) => {
		expect(clockUses(sources({ 'src/core/a.ts': `\n${text}` }))[0]).toMatch(/^src\/core\/a\.ts:2 uses /);
	});

	it('are allowed in src/deps.ts, src/config and bin', () => {
		for (const file of ['src/deps.ts', 'src/config/load.ts', 'bin/spotctl.ts'])
			expect(clockUses(sources({ [file]: 'Date.now(); process.env' }))).toEqual([]);
	});

	it.each(['new Date(ms)', 'socket.setTimeout(5)', "say('set process.env first')", '// Date.now() is not for us', 'clock.now()'])(
		'are not seen in %s',
		(text) => {
			expect(clockUses(sources({ 'src/core/a.ts': text }))).toEqual([]);
		},
	);
});

describe('SQL', () => {
	it.each([
		"await tx.selectFrom('host').selectAll().execute();",
		"await tx\n\t.updateTable('host')\n\t.set({ hold: 1 });",
		"await tx.insertInto ('host').values(row).execute();",
		"await store.read.deleteFrom('host').execute();",
		'const found = statement<{ id: string }>()((db, v) => query(db, v));',
	])('outside the store is reported in %j', (text) => {
		for (const file of ['src/core/a.ts', 'src/b.ts', 'daemon/a.ts', 'commands/a.ts', 'bin/a.ts'])
			expect(sqlOutsideStore(sources({ [file]: `// first\n${text}` }))[0]).toMatch(
				new RegExp(`^${file}:[23] uses .+: SQL is in src/store only$`),
			);
	});

	it('in the store, in a comment or in a text is fine', () => {
		expect(sqlOutsideStore(sources({ 'src/store/a.ts': "db.selectFrom('host'); statement<{ id: string }>()" }))).toEqual([]);
		const text = "// db.selectFrom('host')\nsay('db.deleteFrom() and statement<P>'); call(input.statement); type A = Statement<P, O>;";
		expect(sqlOutsideStore(sources({ 'src/core/a.ts': text }))).toEqual([]);
	});
});

it('this checkout keeps its own rules', () => {
	expect(problems(readSources(join(import.meta.dirname, '../..')))).toEqual([]);
});

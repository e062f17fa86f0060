import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import { sqliteFile } from '../../src/store/sqlite.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { makeAgent } from './agent-scene.ts';
import { booksOf, MINUTE } from './ledger-scene.ts';

/** What may be read whole: tables that do not grow with the fleet or with time, the first row of one that does, and what is no table. */
const SMALL =
	/^SCAN (?:job|client|change_log|webhook|retention_rule|ledger_state|service_clock|json_each|CONSTANT ROW|\d+-ROW VALUES CLAUSE)\b/;
/** A count of every agent, hourly: one row of it in an index that holds nothing else. */
const COUNTS = /^SCAN agent USING (?:COVERING )?INDEX agent_status$/;

describeEachDatabase('work that grows with what changed', ({ kind, freshUrl }) => {
	let url = '';
	const world = shareWorld(async () => {
		url = await freshUrl();
		return url;
	});
	const { alive, costs } = booksOf(world);

	it.skipIf(kind !== 'sqlite')('reads no table of the fleet whole, neither in a job nor for a price report', async () => {
		const agent = await makeAgent(world);
		await costs(agent, agent.id, 'a', 0.04);
		await alive(2 * MINUTE, agent.client, [agent.id]);
		const texts = new Set(
			await world.statements(async () => {
				await alive(5 * MINUTE, agent.client, [agent.id]);
				await costs(agent, agent.id, 'a', 0.041);
				await alive(65 * MINUTE, agent.client, [agent.id]);
			}),
		);
		const database = new Database(sqliteFile(url), { readonly: true });
		try {
			const whole = [...texts].flatMap((text) => {
				if (!/^\s*(?:select|insert|update|delete|with)\b/i.test(text.replace('/*later*/', ''))) return [];
				const values = Array.from({ length: (text.match(/\?/g) ?? []).length }, () => null);
				const plan = database.prepare(`explain query plan ${text}`).all(...values) as { detail: string }[];
				const scans = plan.filter(({ detail }) => /^SCAN/.test(detail) && !SMALL.test(detail) && !COUNTS.test(detail));
				return scans.map(({ detail }) => `${detail}: ${text.slice(0, 200)}`);
			});
			expect(texts.size).toBeGreaterThan(60);
			expect(whole).toEqual([]);
		} finally {
			database.close();
		}
	});
});

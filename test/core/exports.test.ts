import { sql } from 'kysely';
import { expect, it } from 'vitest';
import type { Download } from '../../src/contract/operation.ts';
import type { Caller } from '../../src/core/caller.ts';
import type { SwitchTable } from '../../src/store/schema.ts';
import { addSwitches } from '../../src/store/switches.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { makeAgent } from './agent-scene.ts';

const MANY = 2_100;

const caller: Caller = {
	principal: { kind: 'admin', scope: 'read', tokenId: null, name: 'test' },
	requestId: 'test',
	idempotencyKey: null,
	gone: () => false,
};

/** The whole of a download. */
const textOf = async ({ chunks }: Download): Promise<string> => {
	let text = '';
	for await (const chunk of chunks) text += chunk;
	return text;
};

describeEachDatabase('the export of switches', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { jobs: [] });
	const record = (clientId: string, agentId: string, n: number): SwitchTable => ({
		id: `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`,
		client_id: clientId,
		agent_id: agentId,
		created_at: world.now() + n * 1000,
		evidence: 'report',
		success: 1,
		command_id: null,
		old_instance_id: `i-${n}`,
		new_instance_id: `i-${n + 1}`,
		old_mode: 'spot',
		new_mode: n % 2 === 0 ? 'spot' : 'ondemand',
		old_pool_id: null,
		new_pool_id: 'c5.large.us-east-1a',
		old_spot_micros: 30_000,
		new_spot_micros: 31_250,
		ondemand_micros: 85_000,
		impact_micros: n === 0 ? null : -1_250,
		trigger_type: 'manual',
		initiated_at: null,
		launched_at: null,
		ready_at: null,
		traffic_at: null,
		old_terminated_at: null,
		ami_created_at: null,
		duration_ms: null,
		downtime_ms: null,
		snapshot_id: null,
		error_message: null,
		generation: 1,
	});

	it('has every one of them once, newest first, 200 a statement (D-43)', async () => {
		const agent = await makeAgent(world);
		const all = Array.from({ length: MANY }, (_, n) => record(agent.client.id, agent.id, n));
		await world.store.transact((tx) => addSwitches(tx, all));
		let text = '';
		const sent = await world.statements(async () => {
			const [daemon] = world.daemons;
			if (daemon === undefined) throw new Error('the world has a daemon');
			const download = (await daemon.core.handlers.exportSwitches({ client_id: agent.client.id }, caller)) as Download;
			expect(download.fileName).toBe(`client_${agent.client.id}_switch_history.csv`);
			text = await textOf(download);
		});
		const lines = text.trimEnd().split('\r\n').slice(1);
		expect(lines.map((line) => line.split(',')[1])).toEqual(all.map(({ old_instance_id }) => old_instance_id).reverse());
		expect(lines.at(-2)).toMatch(/Z,i-1,i-2,spot,ondemand,N\/A,c5\.large\.us-east-1a,manual,0\.085000,-0\.001250$/);
		expect(lines.at(-1)).toMatch(/,manual,0\.031250,N\/A$/);
		expect(sent.length).toBe(12);
	});
});

describeEachDatabase('the export of clients with their savings', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { jobs: [] });

	it('has the columns of the contract, and beside them how much is measured where that is asked for', async () => {
		const agent = await makeAgent(world);
		await sql`insert into ledger_total (client_id, period, baseline_micros, primary_micros, replica_micros, zombie_micros, measured_ms,
			estimated_ms, unknown_ms) values (${agent.client.id}, 'all', 3000000, 1000000, 0, 0, 960, 30, 10)`.execute(world.store.ddl);
		const lines = async (input: { shares?: boolean }) => {
			const [daemon] = world.daemons;
			if (daemon === undefined) throw new Error('the world has a daemon');
			return (await textOf((await daemon.core.handlers.exportStats(input, caller)) as Download)).trimEnd().split('\r\n');
		};
		const columns = 'Client ID,Name,Email,Total Savings ($),Active Instances,Active Agents,Created At';
		const [plain = [], more = []] = [await lines({}), await lines({ shares: true })];
		expect([plain[0], more[0]]).toEqual([columns, `${columns},Measured (%),Estimated (%),Unknown (%)`]);
		expect(plain[1]).toMatch(new RegExp(`^${agent.client.id},.*,2\\.00,`));
		expect(more[1]).toBe(`${plain[1]},96,3,1`);
	});
});
